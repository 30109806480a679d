/// The loops of feature_rows.h over a block of rows.
///
/// Private. Included by feature_rows_portable.cpp, feature_rows_avx2.cpp and
/// feature_rows_avx512.cpp, which differ in their compiler flags only; see rowwise_rows.h.
#pragma once

#include "limbeck/model/kernels/fast_math.h"
#include "limbeck/model/kernels/feature_rows.h"

namespace limbeck {

/// Rows of a block, whose squares are summed in f32.
inline constexpr int64_t kFeatureBlock = 32;

struct FeatureKernels {
  /// Rows [first, first + count); adds to sums [columns].
  void (*weigh)(const WeighFeatures&, int64_t first, int64_t count, float* sums);
  void (*turn)(const TurnFeatures&, int64_t first, int64_t count, float* sums);
};
extern const FeatureKernels kFeaturesPortable, kFeaturesAvx2, kFeaturesAvx512;

namespace {

template <bool Biased>
void weigh_row(const WeighFeatures& f, int64_t row, float* __restrict sums) {
  float* __restrict x = f.x + row * f.columns;
  const float* __restrict bias = f.bias;
  const float scale = f.scale, shift = f.shift[row], factor = f.factor[row];
  for (int64_t j = 0; j < f.columns; ++j) {
    const float y = factor * fast_exp(x[j] * scale + (Biased ? bias[j] : 0.0F) - shift);
    x[j] = y;
    sums[j] += y * y;
  }
}

void weigh_rows(const WeighFeatures& f, int64_t first, int64_t count, float* sums) {
  for (int64_t i = first; i < first + count; ++i)
    f.bias != nullptr ? weigh_row<true>(f, i, sums) : weigh_row<false>(f, i, sums);
}

void turn_rows(const TurnFeatures& f, int64_t first, int64_t count, float* sums) {
  constexpr int64_t kSide = kFeatureBlock;
  Bf16 square[kSide][kSide];
  for (int64_t j = 0; j < f.columns; j += kSide) {
    const int64_t width = f.columns - j < kSide ? f.columns - j : kSide;
    for (int64_t i = 0; i < count; ++i) {
      const float* __restrict x = f.x + (first + i) * f.columns + j;
      float* __restrict sum = sums + j;
      Bf16* __restrict to = square[i];
      for (int64_t c = 0; c < width; ++c) {
        to[c] = to_bf16(x[c]);
        sum[c] += to_float(to[c]) * to_float(to[c]);
      }
    }
    for (int64_t c = 0; c < width; ++c) {
      Bf16* __restrict to = f.turned + (j + c) * f.padded + first;
      for (int64_t i = 0; i < count; ++i) to[i] = square[i][c];
    }
  }
}

constexpr FeatureKernels kFeatures{weigh_rows, turn_rows};

}  // namespace
}  // namespace limbeck
