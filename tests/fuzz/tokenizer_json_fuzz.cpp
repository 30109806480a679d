// The reader of tokenizer.json on hostile text, and encoding and decoding with what it accepted.
#include "limbeck/base/error.h"
#include "limbeck/text/tokenizer.h"
#include "tests/fuzz/fuzz_driver.h"

#include <cstdlib>

namespace {

using limbeck::StreamDecoder;
using limbeck::TokenId;
using limbeck::Tokenizer;

constexpr size_t kMaxBytes = 1 << 14;  // so that every input is quick

void use(const Tokenizer& tokenizer) {
  const std::string text = "ab <s>  c\n\xC3\xA9 12 \xE2\x96\x81x<t>";
  for (bool special : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, {special, special});
    StreamDecoder stream(tokenizer, special);
    std::string streamed;
    for (TokenId id : ids) streamed += stream.push(id);
    if (streamed + stream.finish() != tokenizer.decode(ids, special)) std::abort();
  }
  const std::vector<limbeck::TextPart> parts = {{"<s>a", true}, {" <s>", false}, {"<t>", true}};
  tokenizer.encode(parts, true);
}

std::string with(const std::string& pre, const std::string& decoder, const std::string& model) {
  return R"({"added_tokens": [{"id": 6, "content": "<s>", "special": true, "rstrip": true},)"
         R"({"id": 7, "content": "<t>", "normalized": true, "single_word": true, "lstrip": true}],)"
         R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"},)"
         R"({"type": "Replace", "pattern": {"String": "x"}, "content": "b"}]},)"
         R"("post_processor": {"type": "TemplateProcessing", "single": [)"
         R"({"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],)"
         R"("special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},)"
         R"("pre_tokenizer": )" +
         pre + R"(, "decoder": )" + decoder + R"(, "model": {"type": "BPE", )" + model +
         R"("vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "<0x41>": 5},)"
         R"("merges": ["a b", ["ab", "c"]]}})";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kMaxBytes) return 0;
  try {
    use(Tokenizer::from_json({reinterpret_cast<const char*>(data), size}, "tokenizer.json"));
  } catch (const limbeck::InternalError&) {
    throw;
  } catch (const limbeck::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  const std::string fallback =
      R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "},)"
      R"({"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";
  return {
      with(R"({"type": "ByteLevel", "add_prefix_space": true, "use_regex": true})",
           R"({"type": "ByteLevel"})", R"("ignore_merges": true, )"),
      with(
          R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\s+|[^a]\\w"},)"
          R"("behavior": "MergedWithNext", "invert": true}, {"type": "Digits", "individual_digits": true}]})",
          fallback, R"("byte_fallback": true, "unk_token": "c", "fuse_unk": true, )"),
      with(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": true})",
           R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"})", ""),
      with("null", "null", R"("dropout": null, )"),
  };
}
