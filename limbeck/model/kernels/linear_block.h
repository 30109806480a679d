/// Products of many rows with a weight matrix, for processors where torch's are slow: with AVX2
/// alone its bf16 products run without vector code, and oneMKL's f32 products leave a part of an
/// AMD processor idle.
#pragma once

#include "limbeck/io/dtype.h"

#include <cstdint>

namespace limbeck {

/// out[r, o] = sum_i x[r, i] * w[o, i] (+ bias[o])
struct LinearBlock {
  DType dtype = DType::bf16;     ///< of w and bias: bf16 or f32
  const void* weight = nullptr;  ///< [out_features, in_features], row-major
  const void* bias = nullptr;    ///< [out_features] or null
  int64_t in_features = 0;
  int64_t out_features = 0;
  int64_t rows = 0;
  const float* x = nullptr;  ///< [rows, in_features] float32
  DType out_dtype = DType::bf16;
  void* out = nullptr;  ///< [rows, out_features]; bf16 is rounded once, after the bias
};

/// Whether the path in force has code for them: AVX2's.
bool linear_block_serves();
/// float32 sums, OpenMP. The reference is linear_rows_reference(), which takes any number of rows.
void linear_block(const LinearBlock& a);

/// Private: output features [begin, end); `work` has room for linear_block_work() floats.
int64_t linear_block_work(const LinearBlock& a);
using LinearBlockKernel = void (*)(const LinearBlock& a, int64_t begin, int64_t end, float* work);
struct LinearBlockKernels {
  LinearBlockKernel bf16, f32;
};
extern const LinearBlockKernels kLinearBlockAvx2;

/// Private: output features that are computed together, weights that are turned to f32 at a time in
/// depth, and rows that pass over them.
inline constexpr int64_t kLinearBlockOutputs = 64, kLinearBlockDepth = 512, kLinearBlockRows = 512;

}  // namespace limbeck
