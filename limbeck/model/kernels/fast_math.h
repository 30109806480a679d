/// exp and the gated activations in float32, as straight-line code that loops can vectorise.
///
/// `static inline` for the reason given in bf16.h.
#pragma once

#include "limbeck/model/kernels/linear.h"

#include <cstdint>

namespace limbeck {

/// Below this argument exp is taken as 0, so that no denormal numbers arise (they cost a hundred
/// cycles each); above the upper bound it is held, so that the exponent field cannot overflow.
constexpr float kExpLowest = -87.0F;
constexpr float kExpHighest = 88.0F;

/// exp(r) on |r| <= ln 2 / 2 is 1 + r + r^2 * poly(r); a minimax fit (relative error 3e-9), in
/// ascending powers. Shared with the AVX-512 kernels.
constexpr float kExpPoly[5] = {4.999999343e-01F, 1.666652040e-01F, 4.166839079e-02F,
                               8.368745116e-03F, 1.381453999e-03F};
/// 2^r on |r| <= 1/2, in ascending powers from r on (the constant is 1): interpolates at the
/// Chebyshev points, relative error below 2e-7.
constexpr float kExp2Poly[5] = {6.931471880e-1F, 2.402210749e-1F, 5.550357114e-2F, 9.676031918e-3F,
                                1.339086336e-3F};
constexpr float kLog2E = 1.44269504088896F;
/// ln 2 in two parts; the first has few bits, so that n * kLn2High is exact.
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;

/// exp(x), relative error below 3e-7 on [kExpLowest, kExpHighest]; exp(-inf) = 0; NaN stays.
static inline float fast_exp(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  float c = x < kExpLowest ? kExpLowest : x;
  c = c > kExpHighest ? kExpHighest : c;
  const float shifted = c * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (c - n * kLn2High) - n * kLn2Low;
  float p = kExpPoly[4];
  p = p * r + kExpPoly[3];
  p = p * r + kExpPoly[2];
  p = p * r + kExpPoly[1];
  p = p * r + kExpPoly[0];
  p = (p * r) * r + r + 1.0F;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  const float y = p * __builtin_bit_cast(float, exponent);
  return x < kExpLowest ? 0.0F : y;
}

/// x * sigmoid(x).
static inline float fast_silu(float x) { return x / (1.0F + fast_exp(-x)); }

/// x/2 * (1 + tanh(u)) written as x * sigmoid(2u), which keeps its relative accuracy for x << 0.
static inline float fast_gelu_tanh(float x) {
  constexpr float kTwoRootTwoOverPi = 1.59576912160573F;
  return x / (1.0F + fast_exp(-kTwoRootTwoOverPi * (x + 0.044715F * x * x * x)));
}

template <Activation A>
static inline float fast_activation(float x) {
  return A == Activation::silu ? fast_silu(x) : fast_gelu_tanh(x);
}

}  // namespace limbeck
