/// From token texts back to bytes, as the decoder of the file says.
///
/// Everything works token by token, so a stream can be decoded as it grows; what a decoder does to
/// the first token or to the beginning of the text is kept in a small state. Decoders that would
/// need the end of the text, or text across tokens, are refused where the file is read. Hence one
/// known difference from PyPI tokenizers: of a run of byte tokens that is not UTF-8, only the
/// invalid parts become U+FFFD, not the whole run.
#pragma once

#include "limbeck/text/text_pattern.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace limbeck {

class FingerprintWriter;

struct DecodeReplace {
  TextPattern pattern;
  std::string content;
};
/// Up to `start` characters equal to `content` at the front of each token, `stop` at its end.
struct DecodeStrip {
  std::string content;
  int64_t start = 0, stop = 0;
};
struct DecodeMetaspace {
  std::string replacement;
  bool drop_in_first = false;  ///< in the first token the replacement becomes nothing
};
using DecodeStep = std::variant<DecodeReplace, DecodeStrip, DecodeMetaspace>;

struct DecoderSettings {
  bool byte_level = false;        ///< texts are in the byte-level alphabet
  bool byte_fallback = false;     ///< <0xNN> are bytes
  bool join_with_spaces = false;  ///< files without a decoder
  std::vector<DecodeStep> steps;  ///< for each token, in order
  DecodeStrip strip_text;         ///< of the whole text, start only
};

/// How far a text has come.
struct DecodeState {
  bool started = false;     ///< a token has been decoded
  int64_t stripped = 0;     ///< characters that strip_text has taken
  bool strip_done = false;  ///< strip_text has met another character
};

class TokenDecoder {
 public:
  TokenDecoder() = default;
  explicit TokenDecoder(DecoderSettings settings) : settings_(std::move(settings)) {}
  /// Bytes of the next token; they may be part of a character.
  std::string decode(std::string_view token, DecodeState& state) const;
  /// The state in which a token does not depend on those before it.
  static DecodeState middle() { return {true, 0, true}; }
  void fingerprint(FingerprintWriter& writer) const;

 private:
  std::string bytes_of(std::string_view token, bool first) const;
  DecoderSettings settings_;
};

}  // namespace limbeck
