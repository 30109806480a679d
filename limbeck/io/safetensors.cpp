#include "limbeck/io/safetensors.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/io/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

namespace limbeck {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read in place");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMinHeader = 2;
constexpr uint64_t kMaxHeader = 100'000'000;

uint64_t megabytes(uint64_t bytes) { return bytes / 1'000'000 + (bytes % 1'000'000 != 0 ? 1 : 0); }

/// Bytes of a tensor; empty when the number does not fit 63 bits.
std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, DType type) {
  int64_t bytes = dtype_size(type);
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

/// The header's text and the data after it.
std::pair<std::string_view, std::span<const std::byte>> split_file(std::span<const std::byte> bytes,
                                                                   const std::string& name) {
  if (bytes.size() < kLengthBytes + kMinHeader) {
    throw FormatError("[safetensors] {}: a file needs at least {} bytes; found {}", name,
                      kLengthBytes + kMinHeader, bytes.size());
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length < kMinHeader) {
    throw FormatError("[safetensors] {}: header needs at least {} bytes; found {}", name,
                      kMinHeader, length);
  }
  if (length > kMaxHeader) {
    throw FormatError("[safetensors] {}: header of {} MB exceeds the cap of {} MB", name,
                      megabytes(length), megabytes(kMaxHeader));
  }
  if (length > bytes.size() - kLengthBytes) {
    throw FormatError(
        "[safetensors] {}: header ends at {}, file has {} bytes; incomplete download?", name,
        kLengthBytes + length, bytes.size());
  }
  const auto header = bytes.subspan(kLengthBytes, length);
  return {{reinterpret_cast<const char*>(header.data()), header.size()},
          bytes.subspan(kLengthBytes + length)};
}

void check_size(const SafetensorsEntry& entry, const std::string& file) {
  if (entry.begin > entry.end) {
    throw FormatError(
        "[safetensors] {}: tensor {}: data must not end before it begins; found {}..{}", file,
        quote(entry.name), entry.begin, entry.end);
  }
  const auto needed = byte_count(entry.shape, entry.dtype);
  const auto shape = fmt::format("[{}]", fmt::join(entry.shape, ","));
  if (!needed) {
    throw FormatError("[safetensors] {}: tensor {}: shape {} of {} exceeds 2^63 bytes", file,
                      quote(entry.name), shape, dtype_name(entry.dtype));
  }
  if (entry.end - entry.begin != *needed) {
    throw FormatError("[safetensors] {}: tensor {}: {} bytes in the file, shape {} of {} needs {}",
                      file, quote(entry.name), entry.end - entry.begin, shape,
                      dtype_name(entry.dtype), *needed);
  }
}

/// Entries sorted by position must cover the data exactly, without overlaps and holes.
void check_coverage(const std::vector<SafetensorsEntry>& entries, int64_t data_size,
                    int64_t data_start, const std::string& file) {
  int64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != covered) {
      throw FormatError(
          "[safetensors] {}: tensor {}: data begins at {}, the data before it ends at {}; {}", file,
          quote(entry.name), entry.begin, covered,
          entry.begin < covered ? "overlaps are not allowed" : "holes are not allowed");
    }
    covered = entry.end;
  }
  if (covered > data_size) {
    throw FormatError("[safetensors] {}: data ends at {}, file has {} bytes; incomplete download?",
                      file, static_cast<uint64_t>(data_start) + static_cast<uint64_t>(covered),
                      data_start + data_size);
  }
  if (covered < data_size) {
    throw FormatError(
        "[safetensors] {}: data ends at {}, file has {} bytes; the rest is no tensor's", file,
        data_start + covered, data_start + data_size);
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto mapping = MappedFile::open(path);
  SafetensorsFile file = parse(mapping->bytes(), path.filename().string());
  file.mapping_ = std::move(mapping);
  return file;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, std::string name) {
  const auto [text, data] = split_file(bytes, name);
  SafetensorsHeader header = parse_safetensors_header(text, name);
  for (const SafetensorsEntry& entry : header.entries) check_size(entry, name);
  std::ranges::stable_sort(header.entries, {}, [](const SafetensorsEntry& entry) {
    return std::pair(entry.begin, entry.end);
  });
  check_coverage(header.entries, static_cast<int64_t>(data.size()),
                 static_cast<int64_t>(bytes.size() - data.size()), name);

  SafetensorsFile file;
  file.name_ = std::move(name);
  file.metadata_ = std::move(header.metadata);
  file.tensors_.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    file.index_.emplace(entry.name, file.tensors_.size());
    file.tensors_.push_back({std::move(entry.name), entry.dtype, std::move(entry.shape),
                             data.subspan(static_cast<size_t>(entry.begin),
                                          static_cast<size_t>(entry.end - entry.begin))});
  }
  return file;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& SafetensorsFile::at(std::string_view name) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) {
    throw FormatError("[safetensors] {}: tensor {} missing; found {} other tensors", name_,
                      quote(name), tensors_.size());
  }
  return *tensor;
}

}  // namespace limbeck
