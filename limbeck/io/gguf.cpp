#include "limbeck/io/gguf.h"

#include "limbeck/io/gguf_cursor.h"
#include "limbeck/io/gguf_data.h"
#include "limbeck/io/gguf_types.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

namespace limbeck {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read in place");

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint32_t kOldestVersion = 1, kNewestVersion = 3;
constexpr uint64_t kMaxTensors = 65'536, kMaxKeys = 65'536;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxNameBytes = 65'535;
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = int64_t{1} << 30;

/// A tensor whose place in the file is not known to exist yet.
struct PlannedTensor {
  GgufTensor tensor;
  uint64_t offset = 0;  // from the start of the data
  uint64_t bytes = 0;
};

uint32_t read_version(GgufCursor& cursor) {
  const auto magic = cursor.read<uint32_t>("magic");
  if (magic != kMagic) {
    throw FormatError(
        "[gguf] {}: file must begin with \"GGUF\"; found bytes {:02x} {:02x} {:02x} {:02x}",
        cursor.file(), magic & 0xFF, magic >> 8 & 0xFF, magic >> 16 & 0xFF, magic >> 24);
  }
  const auto version = cursor.read<uint32_t>("version");
  if ((version & 0xFFFF) == 0 && version >> 16 != 0) {
    throw FormatError("[gguf] {}: big-endian files are not supported; found version bytes of one",
                      cursor.file());
  }
  if (version < kOldestVersion || version > kNewestVersion) {
    throw FormatError("[gguf] {}: version must be 1 to 3; found {}", cursor.file(), version);
  }
  return version;
}

uint64_t read_capped_count(GgufCursor& cursor, std::string_view what, uint64_t cap) {
  const uint64_t count = cursor.read_count(what);
  if (count > cap) {
    throw FormatError("[gguf] {}: {} of {} exceeds the cap of {}", cursor.file(), what, count, cap);
  }
  return count;
}

uint64_t alignment_of(const GgufMetadata& metadata, std::string_view file) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<int64_t>(&found->second);
  if (value == nullptr) {
    throw FormatError("[gguf] {}: metadata \"general.alignment\" must be an integer; found {}",
                      file, gguf_value_kind(found->second));
  }
  if (*value < 1 || *value > kMaxAlignment || !std::has_single_bit(static_cast<uint64_t>(*value))) {
    throw FormatError(
        "[gguf] {}: metadata \"general.alignment\" must be a power of two up to 2^30; found {}",
        file, *value);
  }
  return static_cast<uint64_t>(*value);
}

/// Extents come fastest first. Sets shape, and returns the bytes they need.
uint64_t read_shape(GgufCursor& cursor, GgufTensor& tensor) {
  const auto dims = cursor.read<uint32_t>("number of dimensions");
  if (dims > kMaxDims) {
    throw FormatError("[gguf] {}: tensor {}: at most {} dimensions; found {}", cursor.file(),
                      quote(tensor.name), kMaxDims, dims);
  }
  int64_t elements = 1;
  tensor.shape.resize(dims);
  for (uint32_t i = 0; i < dims; ++i) {
    const uint64_t extent = cursor.read_count("tensor extent");
    const bool fits = extent <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) &&
                      !__builtin_mul_overflow(elements, static_cast<int64_t>(extent), &elements);
    if (extent == 0 || !fits) {
      throw FormatError(
          "[gguf] {}: tensor {}: extents must be 1 or more and their product below 2^63; "
          "found {} as number {}",
          cursor.file(), quote(tensor.name), extent, i);
    }
    tensor.shape[dims - 1 - i] = static_cast<int64_t>(extent);
  }
  const auto number = cursor.read<uint32_t>("tensor type");
  const auto type = gguf_type_from_number(number);
  if (!type) {
    throw FormatError(
        "[gguf] {}: tensor {}: type {} ({}) is not supported; use F32, F16, BF16, Q4_0, "
        "Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K",
        cursor.file(), quote(tensor.name), number, gguf_unsupported_type_name(number));
  }
  tensor.type = *type;
  const int64_t block = gguf_block_elements(*type);
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % block != 0) {
    throw FormatError("[gguf] {}: tensor {}: rows of {} must be multiples of {}; found {}",
                      cursor.file(), quote(tensor.name), gguf_type_name(*type), block, row);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / block, gguf_block_bytes(*type), &bytes)) {
    throw FormatError("[gguf] {}: tensor {}: size must be below 2^63 bytes; found {} elements",
                      cursor.file(), quote(tensor.name), elements);
  }
  return static_cast<uint64_t>(bytes);
}

std::vector<PlannedTensor> read_tensors(GgufCursor& cursor, uint64_t count, uint64_t alignment) {
  std::vector<PlannedTensor> planned;
  for (uint64_t i = 0; i < count; ++i) {
    PlannedTensor next;
    next.tensor.name = cursor.read_text(kMaxNameBytes, "tensor name");
    next.bytes = read_shape(cursor, next.tensor);
    next.offset = cursor.read<uint64_t>("tensor offset");
    if (next.offset % alignment != 0) {
      throw FormatError("[gguf] {}: tensor {}: offset must be a multiple of {}; found {}",
                        cursor.file(), quote(next.tensor.name), alignment, next.offset);
    }
    planned.push_back(std::move(next));
  }
  return planned;
}

/// Every tensor must lie inside the data. Sharing bytes is refused too: a small file could
/// otherwise claim 65,536 tensors of its own size.
void place_tensors(std::vector<PlannedTensor>& planned, std::span<const std::byte> bytes,
                   uint64_t data_start, std::string_view file) {
  const uint64_t data_size = bytes.size() > data_start ? bytes.size() - data_start : 0;
  for (PlannedTensor& next : planned) {
    if (next.offset > data_size || next.bytes > data_size - next.offset) {
      throw FormatError(
          "[gguf] {}: tensor {}: {} bytes at offset {} exceed the data of {} bytes; "
          "incomplete download?",
          file, quote(next.tensor.name), next.bytes, next.offset, data_size);
    }
    next.tensor.data = bytes.subspan(data_start + next.offset, next.bytes);
  }
  std::vector<const PlannedTensor*> order;
  for (const PlannedTensor& next : planned) order.push_back(&next);
  std::ranges::sort(order, {}, [](const PlannedTensor* next) { return next->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
      throw FormatError("[gguf] {}: tensor {}: must not share bytes with {}; found offset {}", file,
                        quote(order[i]->tensor.name), quote(order[i - 1]->tensor.name),
                        order[i]->offset);
    }
  }
}

}  // namespace

int64_t GgufTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto mapping = MappedFile::open(path);
  return read(mapping->bytes(), path.filename().string(), mapping);
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  return read(bytes, std::move(name), nullptr);
}

GgufFile GgufFile::read(std::span<const std::byte> bytes, std::string name,
                        std::shared_ptr<const MappedFile> mapping) {
  auto data = std::make_shared<Data>();
  data->name = std::move(name);
  data->mapping = std::move(mapping);
  GgufCursor cursor(bytes, data->name);
  data->version = static_cast<int>(read_version(cursor));
  cursor.set_wide_counts(data->version > 1);
  const uint64_t tensors = read_capped_count(cursor, "number of tensors", kMaxTensors);
  const uint64_t keys = read_capped_count(cursor, "number of metadata keys", kMaxKeys);
  data->metadata = read_gguf_metadata(cursor, keys);
  const uint64_t alignment = alignment_of(data->metadata, data->name);
  auto planned = read_tensors(cursor, tensors, alignment);
  const uint64_t data_start = (cursor.position() + alignment - 1) / alignment * alignment;
  place_tensors(planned, bytes, data_start, data->name);
  for (PlannedTensor& next : planned) {
    if (!data->index.emplace(next.tensor.name, data->tensors.size()).second) {
      throw FormatError("[gguf] {}: tensor {} must appear once; found twice", data->name,
                        quote(next.tensor.name));
    }
    data->tensors.push_back(std::move(next.tensor));
  }
  GgufFile file;
  file.data_ = std::move(data);
  return file;
}

}  // namespace limbeck
