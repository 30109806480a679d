#include "limbeck/eval/tasks/stream.h"

#include "limbeck/base/error.h"

namespace limbeck {

std::string stream_key(int64_t seed, std::string_view task, int64_t length,
                       std::string_view index) {
  return fmt::format("{}|{}|{}|{}", seed, task, length, index);
}

Random task_stream(int64_t seed, std::string_view task, int64_t length, std::string_view index) {
  return Random(fnv1a64(stream_key(seed, task, length, index)));
}

Random task_stream(int64_t seed, std::string_view task, int64_t length, int64_t index) {
  return task_stream(seed, task, length, std::to_string(index));
}

std::vector<int64_t> sample_indices(Random& random, int64_t n, int64_t k) {
  if (k < 0 || k > n)
    throw InvalidArgument("[sample] can draw 0 to {} distinct numbers; found {}", n, k);
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), int64_t{0});
  for (size_t i = 0; i < static_cast<size_t>(k); ++i)
    std::swap(all[i], all[i + random.below(all.size() - i)]);
  all.resize(static_cast<size_t>(k));
  return all;
}

int64_t uniform_int(Random& random, int64_t low, int64_t high) {
  LIMBECK_CHECK(low <= high, "empty interval [{}, {}]", low, high);
  return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low) + 1));
}

std::string random_uuid(Random& random) {
  const uint64_t version = uint64_t{0xf000}, variant = uint64_t{0xc} << 60;
  const uint64_t high = (random() & ~version) | 0x4000;
  const uint64_t low = (random() & ~variant) | (uint64_t{0x8} << 60);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffULL);
}

}  // namespace limbeck
