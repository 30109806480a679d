/// What the machine reads from memory: the bound that decoding is measured against.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace limbeck::bench {

/// Larger than the caches of most machines. Where a guest sees a host's larger last level cache,
/// the number is what this cache and the memory deliver together, as it is for weights of such a
/// size.
inline constexpr int64_t kBandwidthBytes = 512LL << 20;

/// Memory in whole 2 MiB pages, written once by the threads that will read it.
class PageMemory {
 public:
  explicit PageMemory(int64_t bytes);
  char* get() const { return data_.get(); }

 private:
  std::unique_ptr<char, decltype(&std::free)> data_;
};

/// Bytes per second that all OpenMP threads together read from a buffer of `bytes`: the best of
/// several loops with wide loads, each by the median of `runs` passes.
double read_bandwidth(int64_t bytes = kBandwidthBytes, int runs = 21);

}  // namespace limbeck::bench
