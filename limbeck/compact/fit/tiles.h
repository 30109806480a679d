/// Products of bf16 matrices with f32 results on tile units, through torch's batch-reduce kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// True where the processor has them.
bool tiles_available();

/// A matrix B [k, n] bf16 cut into panels of at most 64 columns in the order that the units read.
/// k must be even and n a multiple of 16.
std::vector<at::Tensor> pack_panels(const at::Tensor& b);

/// c [m, n] f32 (rows `stride` apart) = a [m, k] bf16 (contiguous) times the packed B.
/// Call tiles_release() when the thread has done its last product.
void multiply_tiles(const at::BFloat16* a, int64_t m, int64_t k, const std::vector<at::Tensor>& b,
                    float* c, int64_t stride);
void tiles_release();

}  // namespace limbeck
