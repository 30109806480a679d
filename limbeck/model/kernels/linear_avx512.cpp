#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/linear_range.h"

namespace limbeck {
namespace {

/// How far ahead of the sums weights are fetched: the hardware prefetcher stops at page borders.
/// Into the second-level cache, because the first-level line buffers are too few to cover the
/// latency.
constexpr int64_t kPrefetchBytes = 8192;

/// sum[o][r] += the products of 32 elements of each w[o] and x[r].
template <int O, int R>
inline void add_products(Pair (&w)[O], const float* x, int64_t x_stride, __m512 (&sum)[O][R]) {
  for (int o = 0; o < O; ++o) {
    pin(w[o].a);
    pin(w[o].b);
  }
  for (int r = 0; r < R; ++r) {
    Pair v = load_pair(x + r * x_stride);
    pin(v.a);
    pin(v.b);
    for (int o = 0; o < O; ++o) {
      sum[o][r] = _mm512_fmadd_ps(w[o].a, v.a, sum[o][r]);
      sum[o][r] = _mm512_fmadd_ps(w[o].b, v.b, sum[o][r]);
    }
  }
}

struct Avx512Dots {
  template <int R>
  static constexpr int kTogether = R <= 4 ? 4 : 2;

  template <class T, int O, int R>
  static void run(const T* const (&w)[O], const LinearRange& a, float (&dots)[O * R]) {
    __m512 sum[O][R];
    for (int o = 0; o < O; ++o)
      for (int r = 0; r < R; ++r) sum[o][r] = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 32 <= a.in_features; i += 32) {
      Pair v[O];
      for (int o = 0; o < O; ++o) {
        const char* ahead = reinterpret_cast<const char*>(w[o] + i) + kPrefetchBytes;
        _mm_prefetch(ahead, _MM_HINT_T1);
        if (sizeof(T) == 4) _mm_prefetch(ahead + 64, _MM_HINT_T1);
        v[o] = load_pair(w[o] + i);
      }
      add_products<O, R>(v, a.x + i, a.x_stride, sum);
    }
    if (i < a.in_features) {
      const __mmask32 mask = first_bits(a.in_features - i);
      Pair v[O];
      for (int o = 0; o < O; ++o) v[o] = load_pair(w[o] + i, mask);
      add_products<O, R>(v, a.x + i, a.x_stride, sum);
    }
    for (int o = 0; o < O; ++o)
      for (int r = 0; r < R; ++r) dots[o * R + r] = _mm512_reduce_add_ps(sum[o][r]);
  }
};

}  // namespace

const LinearKernels kLinearAvx512{linear_range<Avx512Dots, Bf16>, linear_range<Avx512Dots, float>,
                                  gated_range<Avx512Dots, Bf16>, gated_range<Avx512Dots, float>,
                                  true};

}  // namespace limbeck
