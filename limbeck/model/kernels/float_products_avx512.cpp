#include "limbeck/model/kernels/float_products_loop.h"

#include <immintrin.h>

namespace limbeck {
namespace {

struct Avx512Tile {
  template <int M>
  static inline void run(const float* a, int64_t row_step, int64_t depth_step, const float* b,
                         int64_t b_step, int64_t depth, float (&out)[M][kFloatPanel]) {
    __m512 sum[M][2];
    for (int i = 0; i < M; ++i) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int64_t l = 0; l < depth; ++l, a += depth_step, b += b_step) {
      const __m512 low = _mm512_loadu_ps(b), high = _mm512_loadu_ps(b + 16);
      for (int i = 0; i < M; ++i) {
        const __m512 x = _mm512_set1_ps(a[i * row_step]);
        sum[i][0] = _mm512_fmadd_ps(x, low, sum[i][0]);
        sum[i][1] = _mm512_fmadd_ps(x, high, sum[i][1]);
      }
    }
    for (int i = 0; i < M; ++i) {
      _mm512_storeu_ps(out[i], sum[i][0]);
      _mm512_storeu_ps(out[i] + 16, sum[i][1]);
    }
  }
  template <int M, int P>
  static inline void dots(const float* const* x, const double* y, int64_t y_step, int64_t from,
                          int64_t depth, double (&out)[M][P]) {
    __m512d sum[M][P];
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < P; ++j) sum[i][j] = _mm512_setzero_pd();
    const float* row[M];
    for (int i = 0; i < M; ++i) row[i] = x[i] + from;
    const double* run = y + from / kFloatRun * y_step;
    int64_t l = 0;
    for (; l + kFloatRun <= depth; l += kFloatRun, run += y_step) {
      for (int i = 0; i < M; ++i) _mm_prefetch(row[i] + l + kFloatAhead, _MM_HINT_T0);
      for (int half = 0; half < kFloatRun; half += 8) {
        __m512d b[P];
        for (int j = 0; j < P; ++j) b[j] = _mm512_loadu_pd(run + j * kFloatRun + half);
        for (int i = 0; i < M; ++i) {
          const __m512d a = _mm512_cvtps_pd(_mm256_loadu_ps(row[i] + l + half));
          for (int j = 0; j < P; ++j) sum[i][j] = _mm512_fmadd_pd(a, b[j], sum[i][j]);
        }
      }
    }
    for (int half = 0; l + half < depth; half += 8)
      for (int i = 0; i < M; ++i) {
        const int64_t left = depth - l - half;
        const auto mask = static_cast<__mmask16>(left >= 8 ? 0xff : (1U << left) - 1U);
        const __m512 last = _mm512_maskz_loadu_ps(mask, row[i] + l + half);
        const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(last));
        for (int j = 0; j < P; ++j)
          sum[i][j] = _mm512_fmadd_pd(a, _mm512_loadu_pd(run + j * kFloatRun + half), sum[i][j]);
      }
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < P; ++j) out[i][j] = _mm512_reduce_add_pd(sum[i][j]);
  }
  template <int M>
  static inline void rest(const float* const* x, const float* const* next, const double* weights,
                          int64_t from, int64_t depth, double* out) {
    __m512d w[M];
    for (int i = 0; i < M; ++i) w[i] = _mm512_set1_pd(weights[i]);
    int64_t l = from;
    for (; l + 8 <= from + depth; l += 8) {
      if (l % kFloatRun == 0)
        for (int i = 0; i < M; ++i) _mm_prefetch(next[i] + l, _MM_HINT_T0);
      __m512d sum = _mm512_loadu_pd(out + l);
      for (int i = 0; i < M; ++i)
        sum = _mm512_fnmadd_pd(w[i], _mm512_cvtps_pd(_mm256_loadu_ps(x[i] + l)), sum);
      _mm512_storeu_pd(out + l, sum);
    }
    for (; l < from + depth; ++l)
      for (int i = 0; i < M; ++i) out[l] -= weights[i] * double{x[i][l]};
  }
};

}  // namespace

const FloatProductKernels kFloatProductsAvx512 = float_product_loops<Avx512Tile>();

}  // namespace limbeck
