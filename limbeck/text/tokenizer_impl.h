/// What stands behind Tokenizer. Immutable once built, hence shared freely.
#pragma once

#include "limbeck/text/tokenizer.h"
#include "limbeck/text/tokenizer_definition.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct Tokenizer::Impl {
  explicit Impl(TokenizerDefinition definition);

  /// `text` is valid UTF-8; regions cover it.
  std::vector<TokenId> encode(std::string_view text, std::span<const TextRegion> regions) const;
  /// Bytes of one token, nothing for a special one that is skipped.
  std::string decode(TokenId id, bool skip_special, DecodeState& state) const;
  void check_id(TokenId id) const;
  const AddedToken* added_token(TokenId id) const;

  std::string name;
  std::unique_ptr<const PieceModel> model;
  Normalizer normalizer;
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  TokenDecoder decoder;
  std::vector<TokenId> prefix, suffix, eos;
  std::vector<int32_t> added_by_id;  ///< index into added.tokens(), -1 for other tokens
  std::string fingerprint;
};

}  // namespace limbeck
