/// Fused row-wise operations of a transformer layer, for inference without autograd.
///
/// All arithmetic is float32; `T` rows are bf16 or float32 as `dtype` says. OpenMP over rows.
#pragma once

#include "limbeck/io/dtype.h"
#include "limbeck/model/kernels/linear.h"

#include <cstdint>

namespace limbeck {

/// residual += delta (delta may be null), then out = residual / rms(residual) * (weight + offset).
/// rms(x) = sqrt(mean(x^2) + eps).
struct AddNorm {
  int64_t rows = 0, width = 0;
  float* residual = nullptr;      ///< [rows, width] float32, updated when delta is given
  const void* delta = nullptr;    ///< [rows, width] of `dtype`, or null
  const float* weight = nullptr;  ///< [width]
  float weight_offset = 0.0F;     ///< 1 for Gemma's (1 + w)
  float eps = 1e-5F;
  DType dtype = DType::bf16;  ///< of delta and out
  void* out = nullptr;        ///< [rows, width]
};
void add_norm_reference(const AddNorm& a);
void add_norm(const AddNorm& a);

/// Splits a fused QKV projection, applies the optional per-head norm and rotate-half RoPE (pairs
/// (j, j + D/2)) to queries and keys, and writes each where attention wants it.
struct SplitRope {
  int64_t rows = 0, query_heads = 0, kv_heads = 0, head_dim = 0;
  DType dtype = DType::bf16;   ///< of qkv and of the three outputs
  const void* qkv = nullptr;   ///< [rows, (query_heads + 2 kv_heads) * head_dim]
  const float* cos = nullptr;  ///< [rows, head_dim / 2]; null = no rotation
  const float* sin = nullptr;
  const float* q_norm = nullptr;  ///< [head_dim] or null
  const float* k_norm = nullptr;
  float norm_offset = 0.0F;
  float norm_eps = 1e-6F;
  /// Element strides between heads and between rows of each output: q[head * head_stride + row *
  /// row_stride].
  void* q = nullptr;
  int64_t q_head_stride = 0, q_row_stride = 0;
  void* k = nullptr;
  void* v = nullptr;
  int64_t kv_head_stride = 0, kv_row_stride = 0;
};
void split_rope_reference(const SplitRope& a);
void split_rope(const SplitRope& a);

/// out[r, o] = act(gate_up[r, o]) * gate_up[r, F + o]; gate_up [rows, 2F], out [rows, F].
struct GatedActivation {
  int64_t rows = 0, width = 0;  ///< width = F
  DType dtype = DType::bf16;
  const void* gate_up = nullptr;
  void* out = nullptr;
  Activation activation = Activation::silu;
};
void gated_activation_reference(const GatedActivation& a);
void gated_activation(const GatedActivation& a);

/// Merges partial attention results over disjoint sets of slots:
///   lse = log sum_p exp(lse_p),  out = sum_p exp(lse_p - lse) out_p;  a part with lse -inf is
///   empty.
/// accumulator [rows, width] float32 with acc_lse [rows] is updated by part [rows, width] of
/// `dtype` with part_lse [rows] (natural log). An all-empty row stays 0 with lse -inf.
void merge_attention(int64_t rows, int64_t width, float* accumulator, float* acc_lse,
                     const void* part, DType dtype, const float* part_lse);
void merge_attention_reference(int64_t rows, int64_t width, float* accumulator, float* acc_lse,
                               const void* part, DType dtype, const float* part_lse);

}  // namespace limbeck
