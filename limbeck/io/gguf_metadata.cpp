#include "limbeck/io/gguf_metadata.h"

#include "limbeck/io/quote.h"

#include <array>
#include <limits>
#include <utility>

namespace limbeck {
namespace {

/// Value types; numbers as in the file.
enum class ValueType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  text = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};
constexpr uint32_t kValueTypes = 13;

constexpr uint64_t kMaxKeyBytes = 65'535;  // of the format's description
// Over all lists of a file. Large vocabularies need under 1 M; an empty text of 4 bytes takes 32
// here.
constexpr uint64_t kMaxListElements = uint64_t{1} << 24;

class MetadataReader {
 public:
  explicit MetadataReader(GgufCursor& cursor) : cursor_(cursor) {}

  GgufMetadata read_all(uint64_t count) {
    GgufMetadata metadata;
    for (uint64_t i = 0; i < count; ++i) {
      key_ = cursor_.read_text(kMaxKeyBytes, "metadata key");
      if (key_.empty())
        throw FormatError("[gguf] {}: metadata key must not be empty", cursor_.file());
      if (metadata.contains(key_)) fail("must appear once", "found twice");
      const ValueType type = read_type();
      metadata.emplace(std::string(key_),
                       type == ValueType::array ? read_list() : read_single(type));
    }
    return metadata;
  }

 private:
  [[noreturn]] void fail(std::string_view rule, std::string_view found) const {
    throw FormatError("[gguf] {}: metadata {}: {}; {}", cursor_.file(), quote(key_), rule, found);
  }

  ValueType read_type() {
    const auto type = cursor_.read<uint32_t>("metadata type");
    if (type >= kValueTypes) {
      fail("type must be 0 to 12", fmt::format("found {}", type));
    }
    return static_cast<ValueType>(type);
  }

  int64_t read_integer(ValueType type) {
    switch (type) {
      case ValueType::u8: return cursor_.read<uint8_t>("metadata value");
      case ValueType::i8: return cursor_.read<int8_t>("metadata value");
      case ValueType::u16: return cursor_.read<uint16_t>("metadata value");
      case ValueType::i16: return cursor_.read<int16_t>("metadata value");
      case ValueType::u32: return cursor_.read<uint32_t>("metadata value");
      case ValueType::i32: return cursor_.read<int32_t>("metadata value");
      case ValueType::u64: {
        const auto value = cursor_.read<uint64_t>("metadata value");
        if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
          fail("integers must be below 2^63", fmt::format("found {}", value));
        }
        return static_cast<int64_t>(value);
      }
      default: return cursor_.read<int64_t>("metadata value");
    }
  }

  double read_real(ValueType type) {
    return type == ValueType::f32 ? static_cast<double>(cursor_.read<float>("metadata value"))
                                  : cursor_.read<double>("metadata value");
  }

  bool read_boolean() {
    const auto value = cursor_.read<uint8_t>("metadata value");
    if (value > 1) fail("true or false must be 1 or 0", fmt::format("found {}", value));
    return value == 1;
  }

  std::string read_text() {
    return std::string(cursor_.read_text(std::numeric_limits<uint64_t>::max(), "metadata text"));
  }

  GgufValue read_single(ValueType type) {
    switch (type) {
      case ValueType::boolean: return read_boolean();
      case ValueType::text: return read_text();
      case ValueType::f32:
      case ValueType::f64: return read_real(type);
      default: return read_integer(type);
    }
  }

  size_t smallest_element(ValueType type) const {
    switch (type) {
      case ValueType::u8:
      case ValueType::i8:
      case ValueType::boolean: return 1;
      case ValueType::u16:
      case ValueType::i16: return 2;
      case ValueType::u32:
      case ValueType::i32:
      case ValueType::f32: return 4;
      case ValueType::text: return cursor_.count_bytes();
      default: return 8;
    }
  }

  /// Number of elements, which the rest of the file is known to be long enough for.
  size_t read_length(ValueType type) {
    const uint64_t length = cursor_.read_count("metadata list");
    if (length > cursor_.left() / smallest_element(type)) {
      fail("list must fit the file",
           fmt::format("found {} elements with {} bytes left", length, cursor_.left()));
    }
    list_elements_ += length;
    if (list_elements_ > kMaxListElements) {
      fail(fmt::format("lists may hold {} elements together", kMaxListElements),
           fmt::format("found {}", list_elements_));
    }
    return length;
  }

  GgufValue read_list() {
    const ValueType type = read_type();
    if (type == ValueType::array) fail("lists of lists are not supported", "found one");
    const size_t length = read_length(type);
    const auto fill = [length](auto list, auto read) {
      list.reserve(length);
      for (size_t i = 0; i < length; ++i) list.push_back(read());
      return GgufValue(std::move(list));
    };
    switch (type) {
      case ValueType::boolean: return fill(std::vector<bool>(), [&] { return read_boolean(); });
      case ValueType::text: return fill(std::vector<std::string>(), [&] { return read_text(); });
      case ValueType::f32:
      case ValueType::f64: return fill(std::vector<double>(), [&] { return read_real(type); });
      default: return fill(std::vector<int64_t>(), [&] { return read_integer(type); });
    }
  }

  GgufCursor& cursor_;
  std::string_view key_;
  uint64_t list_elements_ = 0;
};

}  // namespace

GgufMetadata read_gguf_metadata(GgufCursor& cursor, uint64_t count) {
  return MetadataReader(cursor).read_all(count);
}

std::string_view gguf_value_kind(const GgufValue& value) {
  static constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kKinds{
      "true or false",           "an integer",         "a number",          "a text",
      "a list of true or false", "a list of integers", "a list of numbers", "a list of texts"};
  return kKinds[value.index()];
}

}  // namespace limbeck
