// The safetensors reader on hostile bytes.
#include "limbeck/base/error.h"
#include "limbeck/io/safetensors.h"
#include "tests/fuzz/fuzz_driver.h"

#include <cstdlib>
#include <cstring>

namespace {

using limbeck::SafetensorsFile;

void parse(std::span<const std::byte> bytes) {
  try {
    const SafetensorsFile file = SafetensorsFile::parse(bytes, "fuzz");
    // Accepted: the views must cover bytes of the input, each once, and agree with the shapes.
    size_t total = 0;
    unsigned sum = 0;
    for (const limbeck::StoredTensor& tensor : file.tensors()) {
      int64_t size = limbeck::dtype_size(tensor.dtype);
      for (const int64_t extent : tensor.shape) size *= extent;
      if (static_cast<size_t>(size) != tensor.data.size()) std::abort();
      if (file.find(tensor.name) != &tensor) std::abort();
      for (const std::byte b : tensor.data) sum += static_cast<unsigned>(b);
      total += tensor.data.size();
    }
    if (total > bytes.size()) std::abort();
    volatile unsigned keep = sum;
    static_cast<void>(keep);
  } catch (const limbeck::FormatError&) {
    // What a bad file is supposed to cause.
  }
}

std::string file_of(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + std::string(header) + std::string(data_bytes, 'd');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  parse(bytes);
  // Most mutations of the header change its length, and would get no further than that check: once
  // more with a length field that fits the last brace.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t brace = text.rfind('}');
  if (brace != std::string_view::npos && brace >= 8) {
    std::vector<std::byte> repaired(bytes.begin(), bytes.end());
    const uint64_t length = brace + 1 - 8;
    std::memcpy(repaired.data(), &length, sizeof length);
    parse(repaired);
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  return {
      file_of("{}", 0),
      file_of(R"({"__metadata__":{"format":"pt","note":"\u00e9\n"}})", 0),
      file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
              R"("b":{"dtype":"BOOL","shape":[],"data_offsets":[4,5]},)"
              R"("e":{"dtype":"I64","shape":[0,7],"data_offsets":[5,5]}}      )",
              5),
      file_of(R"({"__metadata__":{"k":"v"},"x.weight":{"dtype":"F32","shape":[2,3],)"
              R"("data_offsets":[8,32]},"y":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}})",
              32),
  };
}
