// The GGUF reader on hostile bytes, and the dequantisation of what it accepted.
#include "limbeck/base/error.h"
#include "limbeck/io/gguf.h"
#include "limbeck/io/gguf_builder.h"
#include "tests/fuzz/fuzz_driver.h"

#include <algorithm>
#include <cstdlib>

namespace {

using limbeck::GgufFile;
using limbeck::GgufTensor;
using limbeck::test::GgufBuilder;
using limbeck::test::raw;

constexpr int64_t kMaxWeights = 1 << 14;  // a file, so that every input is quick

/// Asks for a value in every way; only the wrong kind may be refused.
void ask_everything(const GgufFile& file, const std::string& key) {
  const auto ask = [](auto question) {
    try {
      question();
    } catch (const limbeck::FormatError&) {
    }
  };
  ask([&] { file.require_text(key); });
  ask([&] { file.require_integer(key); });
  ask([&] { file.number(key); });
  ask([&] { file.boolean(key); });
  ask([&] { file.texts(key); });
  ask([&] { file.integers(key); });
  ask([&] { file.numbers(key); });
}

void dequantize_some(const GgufFile& file) {
  int64_t left = kMaxWeights;
  std::vector<float> out;
  for (const GgufTensor& tensor : file.tensors()) {
    if (file.find_tensor(tensor.name) != &tensor) std::abort();
    const int64_t block = limbeck::gguf_block_elements(tensor.type);
    const int64_t count = std::min(tensor.elements(), left) / block * block;
    out.resize(static_cast<size_t>(count));
    // The end of the tensor: there a wrong size would read beyond the file.
    limbeck::gguf_dequantize(tensor, tensor.elements() - count, tensor.elements(), out);
    left -= count;
  }
}

std::string sample(uint32_t version) {
  GgufBuilder b(version);
  b.key("general.architecture", 8, b.text("llama"))
      .key("general.alignment", 4, raw<uint32_t>(32))
      .key("llama.rope.freq_base", 6, raw(10000.0f))
      .key("flag", 7, "\x01")
      .key("big", version == 1 ? 5 : 11, version == 1 ? raw<int32_t>(-2) : raw<int64_t>(-2))
      .key("tokens", 9, raw<uint32_t>(8) + b.count(3) + b.text("a") + b.text("") + b.text("bc"))
      .key("scores", 9, raw<uint32_t>(6) + b.count(2) + raw(1.0f) + raw(-1.0f))
      .key("types", 9, raw<uint32_t>(0) + b.count(3) + "\1\2\3")
      .key("flags", 9, raw<uint32_t>(7) + b.count(2) + std::string("\0\1", 2))
      .tensor("norm", 0, {8}, 0)
      .tensor("half", 1, {4, 2}, 32)
      .tensor("packed", 8, {32, 2}, 64);
  return b.build(std::string(64 + 68, '\x21'));
}

/// One tensor of the type, two blocks.
std::string one_tensor(limbeck::GgufType type) {
  const auto extent = static_cast<uint64_t>(2 * limbeck::gguf_block_elements(type));
  return GgufBuilder()
      .tensor("x", static_cast<uint32_t>(type), {extent}, 0)
      .build(std::string(static_cast<size_t>(2 * limbeck::gguf_block_bytes(type)), '\x32'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const GgufFile file = GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
    for (const auto& [key, value] : file.metadata()) ask_everything(file, key);
    dequantize_some(file);
  } catch (const limbeck::FormatError&) {
    // What a bad file is supposed to cause.
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  using enum limbeck::GgufType;
  std::vector<std::string> seeds{sample(1), sample(2), sample(3)};
  for (const auto type : {f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k}) {
    seeds.push_back(one_tensor(type));
  }
  return seeds;
}
