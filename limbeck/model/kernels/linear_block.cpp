#include "limbeck/model/kernels/linear_block.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/cpu_path.h"

#include <omp.h>

#include <algorithm>
#include <vector>

namespace limbeck {
namespace {

void check(const LinearBlock& a) {
  if (a.in_features < 0 || a.out_features < 0 || a.rows < 0)
    throw InvalidArgument("[linear_block] sizes must be >= 0; found {} in, {} out, {} rows",
                          a.in_features, a.out_features, a.rows);
  for (const DType type : {a.dtype, a.out_dtype})
    if (type != DType::bf16 && type != DType::f32)
      throw InvalidArgument("[linear_block] weights and results must be BF16 or F32; found {}",
                            dtype_name(type));
}

}  // namespace

bool linear_block_serves() { return cpu_path() == CpuPath::avx2; }

int64_t linear_block_work(const LinearBlock& a) {
  const int64_t rows = std::min(a.rows, kLinearBlockRows),
                depth = std::min((a.in_features + 7) / 8 * 8, kLinearBlockDepth);
  return (rows + depth) * kLinearBlockOutputs;
}

void linear_block(const LinearBlock& a) {
  check(a);
  LIMBECK_CHECK(linear_block_serves(), "no code for {}", cpu_path_name(cpu_path()));
  const LinearBlockKernel kernel =
      a.dtype == DType::bf16 ? kLinearBlockAvx2.bf16 : kLinearBlockAvx2.f32;
  const int64_t blocks = (a.out_features + kLinearBlockOutputs - 1) / kLinearBlockOutputs;
  const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
#pragma omp parallel num_threads(threads)
  {
    static thread_local std::vector<float> work;  // reused from layer to layer
    work.resize(std::max(work.size(), static_cast<size_t>(linear_block_work(a))));
#pragma omp for schedule(static)
    for (int64_t i = 0; i < blocks; ++i)
      kernel(a, i * kLinearBlockOutputs, std::min(a.out_features, (i + 1) * kLinearBlockOutputs),
             work.data());
  }
}

}  // namespace limbeck
