#include "limbeck/model/kernels/rowwise.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/rowwise_rows.h"

#include <omp.h>

namespace limbeck {
namespace {

/// Below this many elements starting the team costs more than it saves.
constexpr int64_t kSerialElements = 32 << 10;

const RowwiseKernels& kernels(const char* function, DType dtype) {
  if (dtype != DType::bf16 && dtype != DType::f32)
    throw InvalidArgument("[{}] rows must be BF16 or F32; found {}", function, dtype_name(dtype));
  const bool bf16 = dtype == DType::bf16;
  switch (cpu_path()) {
    case CpuPath::portable: return bf16 ? kRowwisePortableBf16 : kRowwisePortableF32;
    case CpuPath::avx2: return bf16 ? kRowwiseAvx2Bf16 : kRowwiseAvx2F32;
    default: return bf16 ? kRowwiseAvx512Bf16 : kRowwiseAvx512F32;
  }
}

template <class Args>
void for_each_row(void (*kernel)(const Args&, int64_t), const Args& args, int64_t rows,
                  int64_t elements_per_row) {
  if (rows * elements_per_row < kSerialElements || rows == 1 || omp_in_parallel()) {
    for (int64_t r = 0; r < rows; ++r) kernel(args, r);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; ++r) kernel(args, r);
}

}  // namespace

void add_norm(const AddNorm& a) {
  for_each_row(kernels("add_norm", a.dtype).add_norm, a, a.rows, a.width);
}

void split_rope(const SplitRope& a) {
  if (a.head_dim < 0 || a.head_dim > 1024 || (a.cos && a.head_dim % 2 != 0))
    throw InvalidArgument("[split_rope] head_dim must be even and at most 1024; found {}",
                          a.head_dim);
  for_each_row(kernels("split_rope", a.dtype).split_rope, a, a.rows,
               (a.query_heads + 2 * a.kv_heads) * a.head_dim);
}

void gated_activation(const GatedActivation& a) {
  for_each_row(kernels("gated_activation", a.dtype).gated_activation, a, a.rows, a.width);
}

void merge_attention(int64_t rows, int64_t width, float* accumulator, float* acc_lse,
                     const void* part, DType dtype, const float* part_lse) {
  const MergeAttention a{width, accumulator, acc_lse, part, part_lse};
  for_each_row(kernels("merge_attention", dtype).merge_attention, a, rows, width);
}

}  // namespace limbeck
