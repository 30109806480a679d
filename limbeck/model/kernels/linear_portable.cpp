#include "limbeck/model/kernels/linear_range.h"

namespace limbeck {
namespace {

struct PortableDots {
  template <int R>
  static constexpr int kTogether = R <= 4 ? 4 : 2;

  template <class T, int O, int R>
  static void run(const T* const (&w)[O], const LinearRange& a, float (&dots)[O * R]) {
    constexpr int64_t kChunk = 256;  // weights are widened once and used for every row
    float wide[kChunk];
    for (int o = 0; o < O; ++o) {
      for (int r = 0; r < R; ++r) dots[o * R + r] = 0;
      for (int64_t at = 0; at < a.in_features; at += kChunk) {
        const int64_t n = a.in_features - at < kChunk ? a.in_features - at : kChunk;
        for (int64_t i = 0; i < n; ++i) wide[i] = to_float(w[o][at + i]);
        for (int r = 0; r < R; ++r) {
          const float* x = a.x + r * a.x_stride + at;
          float sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t i = 0; i < n; ++i) sum += wide[i] * x[i];
          dots[o * R + r] += sum;
        }
      }
    }
  }
};

}  // namespace

const LinearKernels kLinearPortable{
    linear_range<PortableDots, Bf16>, linear_range<PortableDots, float>,
    gated_range<PortableDots, Bf16>, gated_range<PortableDots, float>, false};

}  // namespace limbeck
