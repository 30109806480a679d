#include "limbeck/model/kernels/avx2_ops.h"
#include "limbeck/model/kernels/float_products_loop.h"

namespace limbeck {
namespace {

struct Avx2Tile {
  /// Four or six rows and half a panel at a time: what sixteen registers hold.
  template <int M>
  static inline void run(const float* a, int64_t row_step, int64_t depth_step, const float* b,
                         int64_t b_step, int64_t depth, float (&out)[M][kFloatPanel]) {
    constexpr int kRows = M == 6 || M < 4 ? M : 4;
    static_assert(M % kRows == 0);
    for (int i = 0; i < M; i += kRows)
      for (int j = 0; j < kFloatPanel; j += 16)
        part<kRows>(a + i * row_step, row_step, depth_step, b + j, b_step, depth, &out[i][j]);
  }
  /// Three rows at a time.
  template <int M, int P>
  static inline void dots(const float* const* x, const double* y, int64_t y_step, int64_t from,
                          int64_t depth, double (&out)[M][P]) {
    constexpr int kRows = M < 3 ? M : 3;
    static_assert(M % kRows == 0);
    for (int i = 0; i < M; i += kRows)
      dots_part<kRows, P>(x + i, y + from / kFloatRun * y_step, y_step, from, depth, &out[i]);
  }
  template <int M>
  static inline void rest(const float* const* x, const float* const* next, const double* weights,
                          int64_t from, int64_t depth, double* out) {
    __m256d w[M];
    for (int i = 0; i < M; ++i) w[i] = _mm256_set1_pd(weights[i]);
    int64_t l = from;
    for (; l + 4 <= from + depth; l += 4) {
      if (l % kFloatRun == 0)
        for (int i = 0; i < M; ++i) _mm_prefetch(next[i] + l, _MM_HINT_T0);
      __m256d sum = _mm256_loadu_pd(out + l);
      for (int i = 0; i < M; ++i)
        sum = _mm256_fnmadd_pd(w[i], _mm256_cvtps_pd(_mm_loadu_ps(x[i] + l)), sum);
      _mm256_storeu_pd(out + l, sum);
    }
    for (; l < from + depth; ++l)
      for (int i = 0; i < M; ++i) out[l] -= weights[i] * double{x[i][l]};
  }

 private:
  template <int M>
  static inline void part(const float* a, int64_t row_step, int64_t depth_step, const float* b,
                          int64_t b_step, int64_t depth, float* out) {
    __m256 sum[M][2];
    for (int i = 0; i < M; ++i) sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (int64_t l = 0; l < depth; ++l, a += depth_step, b += b_step) {
      const __m256 low = _mm256_loadu_ps(b), high = _mm256_loadu_ps(b + 8);
      for (int i = 0; i < M; ++i) {
        const __m256 x = _mm256_broadcast_ss(a + i * row_step);
        sum[i][0] = _mm256_fmadd_ps(x, low, sum[i][0]);
        sum[i][1] = _mm256_fmadd_ps(x, high, sum[i][1]);
      }
    }
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < 2; ++j) _mm256_storeu_ps(out + i * kFloatPanel + 8 * j, sum[i][j]);
  }

  template <int M, int P>
  static inline void dots_part(const float* const* x, const double* run, int64_t y_step,
                               int64_t from, int64_t depth, double (*out)[P]) {
    __m256d sum[M][P];
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < P; ++j) sum[i][j] = _mm256_setzero_pd();
    const auto add = [&](const float* const(&row)[M], const double* b) {
      __m256d v[P];
      for (int j = 0; j < P; ++j) v[j] = _mm256_loadu_pd(b + j * kFloatRun);
      for (int i = 0; i < M; ++i) {
        const __m256d a = _mm256_cvtps_pd(_mm_loadu_ps(row[i]));
        for (int j = 0; j < P; ++j) sum[i][j] = _mm256_fmadd_pd(a, v[j], sum[i][j]);
      }
    };
    const float* row[M];
    int64_t l = 0;
    for (; l + kFloatRun <= depth; l += kFloatRun, run += y_step) {
      for (int i = 0; i < M; ++i) _mm_prefetch(x[i] + from + l + kFloatAhead, _MM_HINT_T0);
      for (int at = 0; at < kFloatRun; at += 4) {
        for (int i = 0; i < M; ++i) row[i] = x[i] + from + l + at;
        add(row, run + at);
      }
    }
    for (int at = 0; l + at < depth; at += 4) {
      float last[M][4] = {};
      for (int i = 0; i < M; ++i) {
        for (int64_t k = 0; k < 4 && l + at + k < depth; ++k) last[i][k] = x[i][from + l + at + k];
        row[i] = last[i];
      }
      add(row, run + at);
    }
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < P; ++j) {
        double lane[4];
        _mm256_storeu_pd(lane, sum[i][j]);
        out[i][j] = (lane[0] + lane[1]) + (lane[2] + lane[3]);
      }
  }
};

}  // namespace

const FloatProductKernels kFloatProductsAvx2 = float_product_loops<Avx2Tile>();

}  // namespace limbeck
