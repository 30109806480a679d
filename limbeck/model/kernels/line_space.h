/// Working memory for kernels that allocate nothing themselves.
#pragma once

#include <cstdint>
#include <memory>

namespace limbeck {

/// Bytes from a cache line on, not filled: the kernel writes what it reads.
class LineSpace {
 public:
  explicit LineSpace(int64_t bytes) : bytes_(new char[static_cast<size_t>(bytes + kLine)]) {}
  char* data() const {
    const auto at = reinterpret_cast<uintptr_t>(bytes_.get());
    return bytes_.get() + (kLine - at % kLine) % kLine;
  }

 private:
  static constexpr int64_t kLine = 64;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace limbeck
