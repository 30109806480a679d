/// The inner product of the AVX2 kernels' matrix products: six rows and sixteen columns, whose sums
/// fill twelve of the sixteen registers.
///
/// Operands are f32: turning bf16 into f32 inside this loop would compete with its products.
/// Included by *_avx2.cpp only; see avx2_ops.h.
#pragma once

#include "limbeck/model/kernels/avx2_ops.h"

namespace limbeck {
namespace {

constexpr int kMicroRows = 6, kMicroColumns = 16;

/// c [M, columns] (+)= a [M, depth] times b [depth, kMicroColumns].
template <int M>
inline void micro_product(const float* a, int64_t a_stride, const float* b, int64_t depth, float* c,
                          int64_t c_stride, int64_t columns, bool add) {
  __m256 sum[M][2];
  const bool whole = columns >= kMicroColumns;
  const __m256i left = first_lanes(columns), right = first_lanes(columns - 8);
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i) {
    float* row = c + i * c_stride;
    if (!add) {
      sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    } else if (whole) {
      sum[i][0] = _mm256_loadu_ps(row);
      sum[i][1] = _mm256_loadu_ps(row + 8);
    } else {
      sum[i][0] = _mm256_maskload_ps(row, left);
      sum[i][1] = _mm256_maskload_ps(row + 8, right);
    }
  }
  for (int64_t l = 0; l < depth; ++l, ++a, b += kMicroColumns) {
    const __m256 x = _mm256_loadu_ps(b), y = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int i = 0; i < M; ++i) {
      const __m256 factor = _mm256_broadcast_ss(a + i * a_stride);
      sum[i][0] = _mm256_fmadd_ps(factor, x, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(factor, y, sum[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < M; ++i) {
    float* row = c + i * c_stride;
    if (whole) {
      _mm256_storeu_ps(row, sum[i][0]);
      _mm256_storeu_ps(row + 8, sum[i][1]);
    } else {  // far slower
      _mm256_maskstore_ps(row, left, sum[i][0]);
      _mm256_maskstore_ps(row + 8, right, sum[i][1]);
    }
  }
}

/// The same for `rows` rows, at most kMicroRows.
template <int M = kMicroRows>
inline void micro_product(int64_t rows, const float* a, int64_t a_stride, const float* b,
                          int64_t depth, float* c, int64_t c_stride, int64_t columns, bool add) {
  if constexpr (M > 0) {
    if (rows >= M) return micro_product<M>(a, a_stride, b, depth, c, c_stride, columns, add);
    micro_product<M - 1>(rows, a, a_stride, b, depth, c, c_stride, columns, add);
  }
}

}  // namespace
}  // namespace limbeck
