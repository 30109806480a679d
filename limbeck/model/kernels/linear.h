/// Matrix-vector products for decoding: few rows, the weights read once at memory speed.
///
/// Non-goals: many rows (use at::linear), autograd.
#pragma once

#include "limbeck/io/dtype.h"

#include <cstdint>

namespace limbeck {

/// Largest row count for which linear_rows is meant.
inline constexpr int64_t kLinearRowsMax = 8;

/// out[r, o] = sum_i x[r, i] * w[o, i] (+ bias[o])   (+= with accumulate)
struct LinearRows {
  DType dtype = DType::bf16;     ///< of w and bias: bf16 or f32
  const void* weight = nullptr;  ///< [out_features, in_features], row-major
  const void* bias = nullptr;    ///< [out_features] or null
  int64_t in_features = 0;
  int64_t out_features = 0;
  int64_t rows = 1;          ///< 1 to kLinearRowsMax
  const float* x = nullptr;  ///< [rows, in_features] float32
  float* out = nullptr;      ///< [rows, out_features] float32
  bool accumulate = false;   ///< add to out (the residual) instead of overwriting it
};

void linear_rows_reference(const LinearRows& a);  ///< float64 sums
void linear_rows(const LinearRows& a);  ///< float32 sums, OpenMP, AVX-512 or AVX2 where there is

/// The gated MLP's first half in one pass: out[r, o] = act(x . gate_o) * (x . up_o).
/// `weight` holds gate rows [0, F) then up rows [F, 2F), F = out_features; no bias; accumulate is
/// ignored.
enum class Activation : uint8_t { silu, gelu_tanh };
void gated_rows_reference(const LinearRows& a, Activation act);
void gated_rows(const LinearRows& a, Activation act);

}  // namespace limbeck
