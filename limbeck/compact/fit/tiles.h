/// Products of bf16 matrices with f32 results: on tile units through torch's batch-reduce kernels,
/// else on our own kernels for AVX2 and AVX-512.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// True where the processor serves them.
bool tiles_available();

/// A matrix B [k, n] bf16 in the order that the units read. k must be a multiple of 2 and n one of
/// 16.
struct PackedMatrix {
  int64_t k = 0, n = 0;
  std::vector<at::Tensor> panels;  ///< of 64 columns; all in one where our own kernels run
};
PackedMatrix pack_matrix(const at::Tensor& b);

/// c [m, n] f32 (rows `stride` apart) = a [m, k] bf16 (contiguous) times the packed B.
/// Call tiles_release() when the thread has done its last product.
void multiply_tiles(const at::BFloat16* a, int64_t m, const PackedMatrix& b, float* c,
                    int64_t stride);
void tiles_release();

}  // namespace limbeck
