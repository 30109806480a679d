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
};

}  // namespace

const FloatProductKernels kFloatProductsAvx512{gram_loop<Avx512Tile>, row_norms_loop<Avx512Tile>};

}  // namespace limbeck
