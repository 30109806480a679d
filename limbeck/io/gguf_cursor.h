/// Reads little-endian values from untrusted bytes, never beyond their end. Private to io/.
#pragma once

#include "limbeck/base/error.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace limbeck {

/// A position in a GGUF file. Version 1 has 32-bit counts and lengths where later ones have 64
/// bits.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }
  std::string_view file() const { return file_; }
  void set_wide_counts(bool wide) { wide_counts_ = wide; }
  size_t count_bytes() const { return wide_counts_ ? 8 : 4; }

  /// `what` names the value in the error of a file that ends too early.
  template <class T>
  T read(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  /// A count, length or extent.
  uint64_t read_count(std::string_view what) {
    return wide_counts_ ? read<uint64_t>(what) : read<uint32_t>(what);
  }

  /// A text of at most `cap` bytes, viewed in place.
  std::string_view read_text(uint64_t cap, std::string_view what) {
    const uint64_t length = read_count(what);
    if (length > cap) {
      throw FormatError("[gguf] {}: {} of {} bytes exceeds the cap of {}", file_, what, length,
                        cap);
    }
    need(length, what);
    const auto* text = reinterpret_cast<const char*>(bytes_.data() + position_);
    position_ += length;
    return {text, length};
  }

 private:
  void need(uint64_t count, std::string_view what) const {
    if (count > left()) {
      throw FormatError("[gguf] {}: {} needs {} bytes at {}, file has {}; incomplete download?",
                        file_, what, count, position_, bytes_.size());
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  size_t position_ = 0;
  bool wide_counts_ = true;
};

}  // namespace limbeck
