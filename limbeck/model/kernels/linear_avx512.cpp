#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/linear_range.h"

namespace limbeck {
namespace {

/// How far ahead of the sums weights are fetched: past the hardware prefetcher, which stops at pages.
constexpr int64_t kPrefetchBytes = 4096;

struct Avx512Dots {
  template <class T, int O, int R>
  static void run(const T* const (&w)[O], const LinearRange& a, float (&dots)[O * R]) {
    __m512 sum[O][R];
    for (int o = 0; o < O; ++o)
      for (int r = 0; r < R; ++r) sum[o][r] = _mm512_setzero_ps();
    const auto step = [&](int o, int64_t i, Pair v) __attribute__((always_inline)) {
      for (int r = 0; r < R; ++r) {
        const float* x = a.x + r * a.x_stride + i;
        sum[o][r] = _mm512_fmadd_ps(v.a, _mm512_loadu_ps(x), sum[o][r]);
        sum[o][r] = _mm512_fmadd_ps(v.b, _mm512_loadu_ps(x + 16), sum[o][r]);
      }
    };
    int64_t i = 0;
    for (; i + 32 <= a.in_features; i += 32)
      for (int o = 0; o < O; ++o) {
        const char* ahead = reinterpret_cast<const char*>(w[o] + i) + kPrefetchBytes;
        _mm_prefetch(ahead, _MM_HINT_T0);
        if (sizeof(T) == 4) _mm_prefetch(ahead + 64, _MM_HINT_T0);
        step(o, i, load_pair(w[o] + i));
      }
    if (i < a.in_features) {
      const __mmask32 mask = first_bits(a.in_features - i);
      for (int o = 0; o < O; ++o) step(o, i, load_pair(w[o] + i, mask));
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
