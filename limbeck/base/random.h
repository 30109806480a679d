/// Random numbers that are the same on every machine: SplitMix64, with or without a counter.
///
/// Non-goals: the standard library's distributions (their results differ between implementations),
/// cryptography.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

namespace limbeck {

/// The SplitMix64 output function of a 64-bit state.
constexpr uint64_t splitmix64_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// Output number `index` (from 0) of SplitMix64 seeded with `seed`, without producing those before
/// it.
constexpr uint64_t splitmix64_at(uint64_t seed, uint64_t index) {
  return splitmix64_mix(seed + (index + 1) * 0x9e3779b97f4a7c15ULL);
}

/// A double in [0, 1) from the upper 53 bits.
constexpr double unit_double(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

/// Sequential generator with the same outputs as splitmix64_at(seed, 0), (seed, 1), ...
class Random {
 public:
  using result_type = uint64_t;
  explicit constexpr Random(uint64_t seed) : state_(seed) {}

  constexpr uint64_t operator()() { return splitmix64_mix(state_ += 0x9e3779b97f4a7c15ULL); }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return std::numeric_limits<uint64_t>::max(); }

  /// Uniform in [0, 1).
  constexpr double uniform() { return unit_double((*this)()); }

  /// Uniform in [0, n), n >= 1, without bias (multiply and reject).
  uint64_t below(uint64_t n) {
    while (true) {
      const auto wide = static_cast<unsigned __int128>((*this)()) * n;
      if (static_cast<uint64_t>(wide) >= (0 - n) % n) return static_cast<uint64_t>(wide >> 64);
    }
  }

  /// Standard normal (Box-Muller, one value per call so that calls stay countable).
  double normal();

 private:
  uint64_t state_;
};

/// FNV-1a of a text: the seed of a named stream.
constexpr uint64_t fnv1a64(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3ULL;
  return h;
}

}  // namespace limbeck
