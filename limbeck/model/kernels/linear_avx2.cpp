#include "limbeck/model/kernels/avx2_ops.h"
#include "limbeck/model/kernels/linear_range.h"

namespace limbeck {
namespace {

/// As in linear_avx512.cpp.
constexpr int64_t kPrefetchBytes = 4096;

struct Avx2Dots {
  /// Sixteen registers hold the sums of so many outputs, their weights and a part of x.
  template <int R>
  static constexpr int kTogether = R <= 3   ? 4
                                   : R <= 6 ? 2
                                            : 1;

  template <class T, int O, int R>
  static void run(const T* const (&w)[O], const LinearRange& a, float (&dots)[O * R]) {
    __m256 sum[O][R];
    for (int o = 0; o < O; ++o)
      for (int r = 0; r < R; ++r) sum[o][r] = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 32 <= a.in_features; i += 32) {
      for (int o = 0; o < O; ++o) {
        const char* ahead = reinterpret_cast<const char*>(w[o] + i) + kPrefetchBytes;
        _mm_prefetch(ahead, _MM_HINT_T1);
        if (sizeof(T) == 4) _mm_prefetch(ahead + 64, _MM_HINT_T1);
      }
      for (int64_t j = i; j < i + 32; j += 8) add_products<T, O, R>(w, a, j, 8, sum);
    }
    for (; i < a.in_features; i += 8) add_products<T, O, R>(w, a, i, a.in_features - i, sum);
    for (int o = 0; o < O; ++o)
      for (int r = 0; r < R; ++r) dots[o * R + r] = reduce_add(sum[o][r]);
  }

 private:
  /// sum[o][r] += the products of 8 elements of each w[o], of which n are there, and x[r].
  template <class T, int O, int R>
  static inline void add_products(const T* const (&w)[O], const LinearRange& a, int64_t i,
                                  int64_t n, __m256 (&sum)[O][R]) {
    __m256 v[O];
    for (int o = 0; o < O; ++o) v[o] = load_first(w[o] + i, n);
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_loadu_ps(a.x + r * a.x_stride + i);
      for (int o = 0; o < O; ++o) sum[o][r] = _mm256_fmadd_ps(v[o], x, sum[o][r]);
    }
  }
};

}  // namespace

const LinearKernels kLinearAvx2{linear_range<Avx2Dots, Bf16>, linear_range<Avx2Dots, float>,
                                gated_range<Avx2Dots, Bf16>, gated_range<Avx2Dots, float>, false};

}  // namespace limbeck
