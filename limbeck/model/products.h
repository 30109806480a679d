/// Products of many rows with a weight matrix, and flash attention, in the operands that are fast
/// on the machine at hand.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace limbeck {

/// x [rows, in] times weight [out, in] transposed, plus bias [out] where it is defined; all of one
/// dtype, sums in f32, differentiable: what at::linear gives. Where linear_block() serves it runs
/// instead; where torch has no vector code for bf16 products (torch_multiplies_bf16()) the operands
/// become f32. In bf16 results are rounded once, after the bias.
at::Tensor linear_many_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// Whether linear_many_rows() runs on linear_block() without autograd; bias may be undefined.
bool own_products_serve(const at::Tensor& weight, const at::Tensor& bias);
/// The same product of x [rows, in] f32, with results in f32; where own_products_serve().
at::Tensor own_products_f32(const at::Tensor& x, const at::Tensor& weight);

/// torch's flash attention, q [B, heads, rows, D]; `out` has q's dtype.
struct FlashAttention {
  at::Tensor out, lse;
};
FlashAttention flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               bool causal, const std::optional<at::Tensor>& mask, double scale);

}  // namespace limbeck
