/// The whole forward pass from the formula, for tests: dense attention under one boolean mask for
/// each KV head, everything in f64, nothing cached. Llama-like models without biases and Q/K norms.
#pragma once

#include "limbeck/heads/head_pattern.h"
#include "limbeck/model/model.h"

#include <ATen/ATen.h>

#include <vector>

namespace limbeck::test {

/// What row t of a head sees when `starts[t]` is the first row of the forward call that it is in:
/// bool [n, n].
inline at::Tensor visible_rows(const HeadPattern* pattern, int64_t layer, int64_t head,
                               const LayerKind& kind, const std::vector<int64_t>& starts) {
  const auto n = static_cast<int64_t>(starts.size());
  const bool ring = kind.type == LayerKind::Type::ring;
  at::Tensor out = at::zeros({n, n}, at::kBool);
  bool* seen = out.mutable_data_ptr<bool>();
  for (int64_t t = 0; t < n; ++t)
    for (int64_t i = 0; i <= t; ++i) {
      bool see = !ring || t - i < kind.window;
      if (!ring && pattern != nullptr && pattern->at(layer, head)) {
        const int64_t oldest = (pattern->mask == ChunkMask::full ? starts[t] : t) - pattern->window;
        see = i < pattern->sinks || i >= oldest;
      }
      seen[t * n + i] = see;
    }
  return out;
}

/// f64 logits [n, vocabulary].
inline at::Tensor masked_logits(const Model& model, const std::vector<int32_t>& tokens,
                                const HeadPattern* pattern, const std::vector<int64_t>& starts) {
  const ModelSpec& s = model.spec();
  const auto n = static_cast<int64_t>(tokens.size());
  const int64_t dim = s.head_dim, group = s.query_heads / s.kv_heads;
  const auto f64 = [](const at::Tensor& t) { return t.to(at::kDouble); };
  const auto norm = [&](const at::Tensor& x, const at::Tensor& w) {
    return x * at::rsqrt(x.pow(2).mean({-1}, true) + s.norm_eps) * f64(w);
  };
  std::vector<int64_t> positions(tokens.size());
  for (int64_t i = 0; i < n; ++i) positions[i] = i;
  const at::Tensor ids = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
  at::Tensor x = f64(model.weights().embedding.index_select(0, ids));
  for (int64_t l = 0; l < s.layer_count(); ++l) {
    const LayerWeights& w = model.weights().layers[l];
    const auto [cos, sin] = model.rope(l, positions);
    const at::Tensor c = f64(cos), si = f64(sin);
    const auto rotate = [&](const at::Tensor& v) {
      const auto half = v.chunk(2, -1);
      return at::cat({half[0] * c - half[1] * si, half[1] * c + half[0] * si}, -1);
    };
    const at::Tensor qkv = at::matmul(norm(x, w.attention_norm), f64(w.qkv).t());
    std::vector<at::Tensor> outputs;
    for (int64_t q = 0; q < s.query_heads; ++q) {
      const int64_t h = q / group, k_at = s.query_heads + h, v_at = k_at + s.kv_heads;
      const at::Tensor query = rotate(qkv.narrow(1, q * dim, dim)),
                       key = rotate(qkv.narrow(1, k_at * dim, dim)),
                       value = qkv.narrow(1, v_at * dim, dim);
      const at::Tensor seen = visible_rows(pattern, l, h, s.layers[l].attention, starts);
      const at::Tensor logits = at::matmul(query, key.t())
                                    .mul(s.softmax_scale)
                                    .masked_fill(seen.logical_not(), -INFINITY);
      outputs.push_back(at::matmul(at::softmax(logits, -1), value));
    }
    x = x + at::matmul(at::cat(outputs, 1), f64(w.output).t());
    const auto gate_up = at::matmul(norm(x, w.mlp_norm), f64(w.gate_up).t()).chunk(2, -1);
    x = x + at::matmul(at::silu(gate_up[0]) * gate_up[1], f64(w.down).t());
  }
  return at::matmul(norm(x, model.weights().final_norm), f64(model.weights().head).t());
}

}  // namespace limbeck::test
