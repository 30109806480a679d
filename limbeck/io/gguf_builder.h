/// Assembles GGUF files byte by byte, good ones and lying ones. For tests and fuzz seeds.
#pragma once

#include "limbeck/io/test_files.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck::test {

class GgufBuilder {
 public:
  explicit GgufBuilder(uint32_t version = 3) : version_(version) {}

  /// Counts, lengths and extents: 32 bits in version 1, 64 later.
  std::string count(uint64_t value) const {
    return version_ == 1 ? raw(static_cast<uint32_t>(value)) : raw(value);
  }
  std::string text(std::string_view value) const {
    return count(value.size()) + std::string(value);
  }

  /// A key with a value of the given type number, whose bytes the caller made.
  GgufBuilder& key(std::string_view name, uint32_t type, std::string_view value) {
    keys_ += text(name) + raw(type) + std::string(value);
    ++key_count_;
    return *this;
  }
  /// `extents` in the file's order, fastest first.
  GgufBuilder& tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& extents,
                      uint64_t offset) {
    tensors_ += text(name) + raw(static_cast<uint32_t>(extents.size()));
    for (const uint64_t extent : extents) tensors_ += count(extent);
    tensors_ += raw(type) + raw(offset);
    ++tensor_count_;
    return *this;
  }
  GgufBuilder& counts(uint64_t tensors, uint64_t keys) {
    tensor_count_ = tensors;
    key_count_ = keys;
    return *this;
  }

  std::string build(std::string_view data = "", size_t alignment = 32) const {
    std::string bytes = "GGUF" + raw(version_) + count(tensor_count_) + count(key_count_);
    bytes += keys_ + tensors_;
    bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    return bytes + std::string(data);
  }

 private:
  uint32_t version_;
  uint64_t tensor_count_ = 0, key_count_ = 0;
  std::string keys_, tensors_;
};

}  // namespace limbeck::test
