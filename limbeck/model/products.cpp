#include "limbeck/model/products.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/linear_block.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace limbeck {
namespace {

bool bf16_is_slow(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 && x.is_cpu() && !torch_multiplies_bf16();
}

std::optional<at::Tensor> optional(const at::Tensor& t) {
  return t.defined() ? std::optional<at::Tensor>(t) : std::nullopt;
}

DType dtype_of(const at::Tensor& t) {
  return t.scalar_type() == at::kBFloat16 ? DType::bf16 : DType::f32;
}

at::Tensor by_blocks(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     at::ScalarType type) {
  const at::Tensor wide = x.to(at::kFloat).contiguous();
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, x.options().dtype(type));
  linear_block({.dtype = dtype_of(weight),
                .weight = weight.const_data_ptr(),
                .bias = bias.defined() ? bias.const_data_ptr() : nullptr,
                .in_features = weight.size(1),
                .out_features = weight.size(0),
                .rows = x.size(0),
                .x = wide.const_data_ptr<float>(),
                .out_dtype = dtype_of(out),
                .out = out.mutable_data_ptr()});
  return out;
}

}  // namespace

bool own_products_serve(const at::Tensor& weight, const at::Tensor& bias) {
  const auto type = weight.scalar_type();
  return linear_block_serves() && weight.is_cpu() && weight.is_contiguous() &&
         (type == at::kBFloat16 || type == at::kFloat) &&
         (!bias.defined() || (bias.scalar_type() == type && bias.is_contiguous()));
}

at::Tensor linear_many_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool differentiable =
      c10::GradMode::is_enabled() &&
      (x.requires_grad() || weight.requires_grad() || (bias.defined() && bias.requires_grad()));
  if (!differentiable && own_products_serve(weight, bias))
    return by_blocks(x, weight, bias, weight.scalar_type());
  if (!bf16_is_slow(x)) return at::linear(x, weight, optional(bias));
  at::Tensor out = at::mm(x.to(at::kFloat), weight.to(at::kFloat).t());
  if (bias.defined()) out = out + bias;
  return out.to(at::kBFloat16);
}

at::Tensor own_products_f32(const at::Tensor& x, const at::Tensor& weight) {
  return by_blocks(x, weight, at::Tensor(), at::kFloat);
}

FlashAttention flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               bool causal, const std::optional<at::Tensor>& mask, double scale) {
  const bool slow = bf16_is_slow(q);
  const auto operand = [&](const at::Tensor& x) { return slow ? x.to(at::kFloat) : x; };
  auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
      operand(q), operand(k), operand(v), 0.0, causal, mask, scale);
  return {slow ? out.to(at::kBFloat16) : out, lse};
}

}  // namespace limbeck
