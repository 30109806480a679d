#include "limbeck/base/error.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/quote.h"
#include "limbeck/io/safetensors.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace limbeck {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kDataAlignment = 64;
constexpr size_t kMaxHeader = 100'000'000;

void check_tensor(const TensorToWrite& tensor) {
  if (tensor.name == "__metadata__") {
    throw InvalidArgument("[safetensors.write] a tensor must not be named {}", quote(tensor.name));
  }
  int64_t bytes = dtype_size(tensor.dtype);
  bool fits = true;
  for (const int64_t extent : tensor.shape) {
    fits = fits && extent >= 0 && !__builtin_mul_overflow(bytes, extent, &bytes);
  }
  if (!fits || bytes != static_cast<int64_t>(tensor.data.size())) {
    throw InvalidArgument(
        "[safetensors.write] tensor {}: shape [{}] of {} needs {} bytes; found {}",
        quote(tensor.name), fmt::join(tensor.shape, ","), dtype_name(tensor.dtype),
        fits ? fmt::format("{}", bytes) : "an impossible number of", tensor.data.size());
  }
}

/// Length field and padded JSON. Keys keep the order of the data, as a reader of the file expects.
std::string make_header(const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::string text = header.dump();
  text.pop_back();
  int64_t begin = 0;
  // Appended one by one: an ordered document finds each key by a linear search.
  for (const TensorToWrite& tensor : tensors) {
    const int64_t end = begin + static_cast<int64_t>(tensor.data.size());
    const nlohmann::ordered_json entry = {{"dtype", dtype_name(tensor.dtype)},
                                          {"shape", tensor.shape},
                                          {"data_offsets", std::array<int64_t, 2>{begin, end}}};
    if (text.size() > 1) text += ',';
    text += nlohmann::json(tensor.name).dump() + ":" + entry.dump();
    begin = end;
  }
  text += '}';
  const size_t padding = (kDataAlignment - (kLengthBytes + text.size()) % kDataAlignment);
  text.append(padding % kDataAlignment, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  for (const TensorToWrite& tensor : tensors) check_tensor(tensor);
  std::ranges::sort(tensors, {}, [](const TensorToWrite& tensor) {
    return std::pair<int64_t, std::string_view>(-dtype_size(tensor.dtype), tensor.name);
  });
  // Equal names of different types are not neighbours in that order.
  std::vector<std::string_view> names;
  for (const TensorToWrite& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
    throw InvalidArgument("[safetensors.write] tensor {} appears twice; names must differ",
                          quote(*twice));
  }
  std::string header;
  try {
    header = make_header(tensors, metadata);
  } catch (const nlohmann::json::exception&) {
    throw InvalidArgument("[safetensors.write] {}: names and metadata must be UTF-8",
                          path.filename().string());
  }
  if (header.size() > kMaxHeader) {
    throw InvalidArgument("[safetensors.write] {}: header of {} bytes exceeds the cap of {}",
                          path.filename().string(), header.size(), kMaxHeader);
  }
  AtomicFile file(path);
  std::array<std::byte, kLengthBytes> length;
  const uint64_t header_size = header.size();
  std::memcpy(length.data(), &header_size, sizeof header_size);
  file.write(length);
  file.write(header);
  for (const TensorToWrite& tensor : tensors) file.write(tensor.data);
  file.commit();
}

}  // namespace limbeck
