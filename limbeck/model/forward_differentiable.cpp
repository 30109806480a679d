#include "limbeck/model/model.h"

#include "limbeck/base/error.h"
#include "limbeck/model/attention.h"
#include "limbeck/model/products.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, const ModelSpec& spec) {
  const at::Tensor f = x.to(at::kFloat);
  const at::Tensor y = f * at::rsqrt(f.pow(2).mean({-1}, true) + spec.norm_eps);
  return y * (spec.norm_plus_one ? weight + 1.0 : weight);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

at::Tensor activate(const at::Tensor& x, Activation kind) {
  return kind == Activation::silu ? at::silu(x) : at::gelu(x, "tanh");
}

}  // namespace

ForwardResult Model::forward_differentiable(const KvCache& cache, std::span<const int32_t> tokens,
                                            const ForwardOptions& options, Probe* probe) const {
  check_feed(cache, tokens);
  if (cache.head_pattern() != nullptr)
    throw InvalidArgument(
        "[forward_differentiable] streaming heads are not differentiable; found a head pattern "
        "that makes {} of the heads stream",
        cache.head_pattern()->sparsity());
  const auto n = static_cast<int64_t>(tokens.size());
  const at::ScalarType type = weights_.embedding.scalar_type();
  std::vector<int64_t> positions(n);
  for (int64_t i = 0; i < n; ++i) positions[i] = cache.logical_length() + i;
  const at::Tensor ids = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
  at::Tensor residual = at::embedding(weights_.embedding, ids).to(at::kFloat);
  if (spec_.embedding_scale != 1.0)
    residual = residual * at::scalar_tensor(spec_.embedding_scale, type).to(at::kFloat);
  const auto heads = [&](const at::Tensor& x, int64_t count) {
    return x.view({n, count, spec_.head_dim}).transpose(0, 1);
  };

  std::vector<std::pair<at::Tensor, at::Tensor>> ropes(frequencies_.size());
  for (int64_t l = 0; l < spec_.layer_count(); ++l) {
    const LayerWeights& w = weights_.layers[l];
    const at::Tensor x = rms_norm(residual, w.attention_norm, spec_).to(type);
    const at::Tensor qkv = linear_many_rows(x, w.qkv, w.qkv_bias);
    const auto parts =
        qkv.split_with_sizes({spec_.query_heads * spec_.head_dim, spec_.kv_heads * spec_.head_dim,
                              spec_.kv_heads * spec_.head_dim},
                             -1);
    at::Tensor q = heads(parts[0], spec_.query_heads), k = heads(parts[1], spec_.kv_heads);
    const at::Tensor v = heads(parts[2], spec_.kv_heads);
    if (spec_.qk_norm) {
      q = rms_norm(q, w.q_norm, spec_);
      k = rms_norm(k, w.k_norm, spec_);
    }
    auto& [cos, sin] = ropes[layer_rope_[l]];
    if (!cos.defined()) std::tie(cos, sin) = rope(l, positions);
    const at::Tensor rq = rotate(q.to(at::kFloat), cos, sin).to(type).contiguous();
    const at::Tensor rk = rotate(k.to(at::kFloat), cos, sin).to(type).contiguous();
    const uint32_t needs = probe != nullptr ? probe->needs(l) : static_cast<uint32_t>(kProbeSkip);
    at::Tensor lse;
    const at::Tensor attention = attention_plain({&cache.layer(l), rq, rk, v, spec_.softmax_scale},
                                                 (needs & kProbeLse) != 0 ? &lse : nullptr);
    if ((needs & kProbeSkip) == 0)
      probe->on_layer(
          {l, cache.logical_length(), &cache.layer(l), x, rq, rk, v, q, k, attention, lse});
    at::Tensor delta = linear_many_rows(attention, w.output, w.output_bias);
    if (spec_.sandwich_norms) delta = rms_norm(delta, w.post_attention_norm, spec_);
    residual = residual + delta;
    const at::Tensor y = rms_norm(residual, w.mlp_norm, spec_).to(type);
    const auto gate_up = linear_many_rows(y, w.gate_up, w.gate_up_bias).chunk(2, -1);
    delta =
        linear_many_rows(activate(gate_up[0], spec_.activation) * gate_up[1], w.down, w.down_bias);
    if (spec_.sandwich_norms) delta = rms_norm(delta, w.post_mlp_norm, spec_);
    residual = residual + delta;
  }

  ForwardResult result;
  if (options.logits == LogitsWanted::none && !options.hidden) return result;
  if (options.logits == LogitsWanted::last) residual = residual.narrow(0, n - 1, 1);
  result.hidden = rms_norm(residual, weights_.final_norm, spec_);
  if (options.logits != LogitsWanted::none) result.logits = head_logits(result.hidden);
  if (!options.hidden) result.hidden.reset();
  return result;
}

}  // namespace limbeck
