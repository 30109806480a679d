#include "limbeck/model/kernels/linear.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/linear_range.h"

#include <omp.h>

#include <algorithm>
#include <vector>

namespace limbeck {
namespace {

/// Below this many bytes of weights starting the team costs more than it saves.
constexpr int64_t kSerialBytes = 128 << 10;

void check(const char* function, const LinearRows& a) {
  if (a.rows < 1 || a.rows > kLinearRowsMax)
    throw InvalidArgument("[{}] rows must be in [1, {}]; found {}", function, kLinearRowsMax,
                          a.rows);
  if (a.in_features < 0 || a.out_features < 0)
    throw InvalidArgument("[{}] features must be >= 0; found {} in, {} out", function,
                          a.in_features, a.out_features);
  if (a.dtype != DType::bf16 && a.dtype != DType::f32)
    throw InvalidArgument("[{}] weights must be BF16 or F32; found {}", function,
                          dtype_name(a.dtype));
}

/// Copies x into rows padded with zeros; with `split` 16 even elements come before 16 odd ones.
void pack(const LinearRows& a, int64_t stride, bool split, std::vector<float>& packed) {
  packed.resize(std::max(packed.size(), static_cast<size_t>(a.rows * stride)));
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* x = a.x + r * a.in_features;
    float* to = packed.data() + r * stride;
    int64_t i = 0;
    for (; split && i + kLinearStep <= a.in_features; i += kLinearStep)
      for (int64_t j = 0; j < 16; ++j) {
        to[i + j] = x[i + 2 * j];
        to[i + 16 + j] = x[i + 2 * j + 1];
      }
    if (!split) {
      std::copy_n(x, a.in_features, to);
      std::fill(to + a.in_features, to + stride, 0.0F);
      continue;
    }
    std::fill(to + i, to + stride, 0.0F);
    for (int64_t j = i; j < a.in_features; ++j) to[i + (j - i) / 2 + (j - i) % 2 * 16] = x[j];
  }
}

void run(const LinearRows& a, const LinearKernels& kernels, LinearKernel kernel, Activation act,
         int64_t bytes) {
  static thread_local std::vector<float> packed;  // reused, so that a decode step allocates nothing
  const int64_t stride = (a.in_features + kLinearStep - 1) / kLinearStep * kLinearStep;
  pack(a, stride, kernels.split_pairs && a.dtype == DType::bf16, packed);
  LinearRange all{.weight = a.weight,
                  .bias = a.bias,
                  .in_features = a.in_features,
                  .out_features = a.out_features,
                  .rows = a.rows,
                  .x = packed.data(),
                  .x_stride = stride,
                  .out = a.out,
                  .accumulate = a.accumulate,
                  .activation = act,
                  .begin = 0,
                  .end = a.out_features};
  if (bytes < kSerialBytes || omp_in_parallel()) {
    kernel(all);
    return;
  }
#pragma omp parallel
  {
    // Whole cache lines of out for each thread.
    LinearRange mine = all;
    const int64_t blocks = (a.out_features + 15) / 16;
    const int64_t threads = omp_get_num_threads(), id = omp_get_thread_num();
    mine.begin = std::min(a.out_features, blocks * id / threads * 16);
    mine.end = std::min(a.out_features, blocks * (id + 1) / threads * 16);
    kernel(mine);
  }
}

const LinearKernels& kernels_in_force() {
  switch (cpu_path()) {
    case CpuPath::portable: return kLinearPortable;
    case CpuPath::avx2: return kLinearAvx2;
    default: return kLinearAvx512;
  }
}

}  // namespace

void linear_rows(const LinearRows& a) {
  check("linear_rows", a);
  const LinearKernels& k = kernels_in_force();
  run(a, k, a.dtype == DType::bf16 ? k.linear_bf16 : k.linear_f32, Activation::silu,
      a.out_features * a.in_features * dtype_size(a.dtype));
}

void gated_rows(const LinearRows& a, Activation act) {
  check("gated_rows", a);
  const LinearKernels& k = kernels_in_force();
  run(a, k, a.dtype == DType::bf16 ? k.gated_bf16 : k.gated_f32, act,
      2 * a.out_features * a.in_features * dtype_size(a.dtype));
}

}  // namespace limbeck
