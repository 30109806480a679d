/// A language model of bytes with random weights, and a book of made-up sentences, for this room's
/// tests.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/model/language_model.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/text/tokenizer_samples.h"

#include <string>

namespace limbeck::test {

/// 256 bytes and a few merged words of the needles, so that tokens and characters differ.
inline const Tokenizer& tiny_tokenizer() {
  static const Tokenizer tokenizer = load(byte_level_json(
      {{"h", "e"}, {"a", "g"}, {"i", "c"}, {"ag", "ic"}, {"m", "agic"}, {"\xC4\xA0", "magic"}}));
  return tokenizer;
}

inline std::string made_up_book(int64_t sentences, uint64_t seed) {
  static const char* words[] = {"the", "old", "sea", "was", "calm", "and", "no", "wind", "came"};
  Random random(seed);
  std::string out = "Begin.";
  for (int64_t i = 0; i < sentences; ++i) {
    out += " It";
    for (uint64_t w = 4 + random.below(9); w > 0; --w)
      out += std::string(" ") + words[random.below(9)];
    out += '.';
  }
  return out;
}

inline LanguageModel tiny_language_model(DType dtype = DType::f32) {
  ModelSpec spec = small_spec({0, 0});
  spec.vocabulary = tiny_tokenizer().vocabulary_size();
  spec.context_length = 4096;
  return {"tiny", "tiny.gguf", random_model(spec, dtype, 3), tiny_tokenizer(), {}, {}};
}

}  // namespace limbeck::test
