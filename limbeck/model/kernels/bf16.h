/// bfloat16 as the kernels see it: 16 bits in memory, float32 in registers.
///
/// Everything here is `static inline` on purpose: the file is included by sources that are compiled
/// for AVX2 or AVX-512, and a function with external linkage compiled there could replace the
/// portable copy at link time and fault on an older processor. Written so that loops over it
/// vectorise.
#pragma once

#include <cstdint>

namespace limbeck {

/// A stored bfloat16: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

static inline float to_float(float x) { return x; }
static inline float to_float(Bf16 x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN, overflow becomes infinity.
static inline Bf16 to_bf16(float x) {
  const auto u = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16;
  const uint32_t quiet_nan = (u >> 16) | 0x40U;
  return {static_cast<uint16_t>((u & 0x7fffffffU) > 0x7f800000U ? quiet_nan : rounded)};
}

static inline void store(float* to, float x) { *to = x; }
static inline void store(Bf16* to, float x) { *to = to_bf16(x); }

}  // namespace limbeck
