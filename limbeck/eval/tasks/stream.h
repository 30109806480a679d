/// Random streams of generated samples: what is drawn follows from four texts alone.
///
/// The key `seed|task|length|index` is hashed (FNV-1a 64) to the state of a SplitMix64 generator,
/// so that sample number i of a task is the same however many samples are made, on every machine.
/// Non-goals: independence of streams beyond what a hash gives.
#pragma once

#include "limbeck/base/random.h"

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck {

/// "42|niah_single_1|4096|0".
std::string stream_key(int64_t seed, std::string_view task, int64_t length, std::string_view index);

/// Stream of one sample, or of what a word names: "probe", "shuffle".
Random task_stream(int64_t seed, std::string_view task, int64_t length, std::string_view index);
Random task_stream(int64_t seed, std::string_view task, int64_t length, int64_t index);

/// Fisher-Yates from the end: i = size - 1 .. 1 changes places with below(i + 1).
template <class T>
void shuffle(Random& random, std::vector<T>& items) {
  for (size_t i = items.size(); i-- > 1;)
    std::swap(items[i], items[static_cast<size_t>(random.below(i + 1))]);
}

/// k distinct numbers of 0 .. n - 1 in random order: the first k steps of a Fisher-Yates from the
/// front. Throws InvalidArgument unless 0 <= k <= n.
std::vector<int64_t> sample_indices(Random& random, int64_t n, int64_t k);

/// Uniform in [low, high].
int64_t uniform_int(Random& random, int64_t low, int64_t high);

/// Version 4, lower case, out of two outputs read big-endian.
std::string random_uuid(Random& random);

}  // namespace limbeck
