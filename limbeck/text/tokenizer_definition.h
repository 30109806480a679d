/// A tokenizer as its file describes it, before it is put together. Filled by the readers of
/// tokenizer.json, of vocab.json with merges.txt, and of GGUF metadata.
#pragma once

#include "limbeck/io/gguf.h"
#include "limbeck/text/added_tokens.h"
#include "limbeck/text/bpe.h"
#include "limbeck/text/normalize.h"
#include "limbeck/text/piece_model.h"
#include "limbeck/text/pretokenize.h"
#include "limbeck/text/token_decoder.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct TokenizerDefinition {
  std::string name;  ///< of the file, for error texts
  std::unique_ptr<const PieceModel> model;
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  DecoderSettings decoder;
  std::vector<TokenId> prefix, suffix;  ///< what add_special puts around the text
  std::vector<TokenId> eos;
};

TokenizerDefinition define_from_json(std::string_view json, std::string name);
TokenizerDefinition define_from_folder(const std::filesystem::path& folder,
                                       std::string_view family);
TokenizerDefinition define_from_gguf(const GgufFile& file);

/// Resolves merges by text. Throws FormatError naming the merge and the token that is unknown.
class MergeResolver {
 public:
  MergeResolver(const Vocabulary& vocabulary, std::string_view name)
      : vocabulary_(vocabulary), name_(name) {}
  void add(std::string_view left, std::string_view right);
  /// "left right" with exactly one space.
  void add_line(std::string_view line);
  std::vector<MergeRule> take() { return std::move(rules_); }

 private:
  TokenId require(std::string_view text) const;
  const Vocabulary& vocabulary_;
  std::string_view name_;
  std::vector<MergeRule> rules_;
};

/// The whole of a text file below 512 MB. Throws ResourceError.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace limbeck
