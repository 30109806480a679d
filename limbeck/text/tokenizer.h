/// Tokenizers: text to token ids and back, as the model's own files define it.
///
/// Sources: tokenizer.json, or vocab.json + merges.txt, or GGUF metadata. Kinds: byte-level BPE
/// (Qwen, Llama 3, SmolLM2), character BPE with byte fallback (Gemma), SentencePiece BPE by scores
/// (GGUF "llama"). Non-goals: unigram and WordPiece models; "cleaning up" spaces.
#pragma once

#include "limbeck/io/gguf.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

using TokenId = int32_t;

/// How text between a template's own words is read.
struct EncodeOptions {
  bool add_special = false;  ///< apply the post-processor (BOS where the model wants one)
  /// Texts of special tokens become those tokens; else they are plain text. Added tokens that are
  /// not special (Qwen's <think>) are ordinary words of the model and become tokens either way, as
  /// with `split_special_tokens=True` of transformers.
  bool parse_special = false;
};

/// A stretch of text and whether the texts of special tokens in it mean those tokens.
struct TextPart {
  std::string text;
  bool parse_special = false;
};

class Tokenizer {
 public:
  /// From a model folder. `family` is the model_type, used only when there is no tokenizer.json.
  /// Throws ResourceError or FormatError naming the file and the field.
  static Tokenizer from_folder(const std::filesystem::path& folder, std::string_view family);
  /// From the `tokenizer.*` metadata. Unknown `tokenizer.ggml.pre` is refused by name.
  static Tokenizer from_gguf(const GgufFile& file);
  /// From the text of a tokenizer.json; `name` stands for the file in error texts.
  static Tokenizer from_json(std::string_view json, std::string name);

  /// Throws InvalidArgument `[tokenize] invalid UTF-8 at byte 17`.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Encodes parts as one text: words may span parts, so that parts without special texts give what
  /// the joined text gives. A special token is recognised only when all of its text lies in
  /// neighbouring parts with parse_special. The BOS of add_special is left out when the text itself
  /// begins with it.
  std::vector<TokenId> encode(std::span<const TextPart> parts, bool add_special = false) const;

  /// Concatenated bytes of the tokens, invalid UTF-8 replaced by U+FFFD. Special tokens are skipped
  /// when asked; unused ids give nothing. Throws InvalidArgument for an id outside the vocabulary.
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;
  /// The raw bytes of one token (may be part of a character), as in the middle of a text.
  std::string token_bytes(TokenId id, bool skip_special = false) const;

  int64_t vocabulary_size() const;  ///< highest id + 1, added tokens included
  std::optional<TokenId> find_token(std::string_view text) const;  ///< by its stored form
  std::string_view token_text(TokenId id) const;                   ///< stored form
  bool is_special(TokenId id) const;
  std::optional<TokenId> bos() const;  ///< what add_special prepends, when it does
  /// EOS ids that the tokenizer's own files name (the model's config may add more).
  const std::vector<TokenId>& eos() const;
  /// Hex XXH3-128 over everything that decides encode() and decode().
  std::string fingerprint() const;

  struct Impl;  ///< private to text/

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// Decodes a growing sequence: push() returns the text that is certain, keeping back the bytes (at
/// most 3) of an unfinished character; finish() returns what is left and begins anew. Together they
/// equal decode().
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string push(TokenId id);
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string pending_;
  // What a decoder does at the beginning of a text only.
  bool started_ = false, strip_done_ = false;
  int64_t stripped_ = 0;
};

}  // namespace limbeck
