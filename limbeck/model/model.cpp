#include "limbeck/model/model.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/cache/segment.h"
#include "limbeck/model/kernels/linear.h"
#include "limbeck/model/precision.h"
#include "limbeck/model/products.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
Model::Model(ModelSpec spec, Weights weights, DType dtype, std::string fingerprint)
    : spec_(std::move(spec)),
      weights_(std::move(weights)),
      dtype_(dtype),
      fingerprint_(std::move(fingerprint)) {
  spec_validate(spec_, "model");
  std::vector<RopeSpec> distinct;
  for (const LayerSpec& layer : spec_.layers) {
    auto it = std::find(distinct.begin(), distinct.end(), layer.rope);
    layer_rope_.push_back(static_cast<size_t>(it - distinct.begin()));
    if (it == distinct.end()) distinct.push_back(layer.rope);
  }
  for (const RopeSpec& rope : distinct)
    frequencies_.push_back(rope.inverse_frequencies(spec_.head_dim));
}

const std::vector<float>& Model::inverse_frequencies(int64_t layer) const {
  return frequencies_[layer_rope_[layer]];
}

std::pair<at::Tensor, at::Tensor> Model::rope(int64_t layer,
                                              std::span<const int64_t> positions) const {
  const auto& f = inverse_frequencies(layer);
  const auto n = static_cast<int64_t>(positions.size()), half = static_cast<int64_t>(f.size());
  const auto factor = static_cast<float>(spec_.layers[layer].rope.cos_sin_factor());
  at::Tensor cos = at::empty({n, half}, at::kFloat), sin = at::empty({n, half}, at::kFloat);
  float *c = cos.mutable_data_ptr<float>(), *s = sin.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < half; ++j) {
      // The angle is rounded to f32 like the reference implementations'; its sine and cosine are
      // not.
      const float angle = static_cast<float>(positions[i]) * f[j];
      c[i * half + j] = factor * std::cos(angle);
      s[i * half + j] = factor * std::sin(angle);
    }
  return {cos, sin};
}

void Model::check_feed(const KvCache& cache, std::span<const int32_t> tokens) const {
  if (tokens.empty())
    throw InvalidArgument("[forward] a feed needs at least one token; found none");
  if (!(cache.shape() == spec_.cache_shape(dtype_)))
    throw Mismatch(
        "[forward] the cache has {} layers of {} KV heads of {} ({}); this model needs {} of {} of "
        "{} ({})",
        cache.shape().layer_count(), cache.shape().kv_heads, cache.shape().head_dim,
        dtype_name(cache.shape().dtype), spec_.layer_count(), spec_.kv_heads, spec_.head_dim,
        dtype_name(dtype_));
  for (int32_t id : tokens)
    if (id < 0 || id >= spec_.vocabulary)
      throw InvalidArgument("[forward] token ids must be in [0, {}); found {}", spec_.vocabulary,
                            id);
  const int64_t end = cache.logical_length() + static_cast<int64_t>(tokens.size());
  if (end > spec_.context_length)
    throw InvalidArgument(
        "[forward] the model's window is {} tokens; found {} already seen and {} more",
        spec_.context_length, cache.logical_length(), tokens.size());
}

ForwardResult Model::forward(KvCache& cache, std::span<const int32_t> tokens,
                             const ForwardOptions& options, Probe* probe) const {
  const Feed feed{&cache, tokens, probe};
  return forward({&feed, 1}, options);
}

at::Tensor Model::head_logits(const at::Tensor& hidden) const {
  const int64_t rows = hidden.size(0), width = spec_.hidden;
  const at::Tensor& head = weights_.head;
  if (c10::GradMode::is_enabled() && (hidden.requires_grad() || head.requires_grad()))
    return linear_many_rows(hidden.to(head.scalar_type()), head, at::Tensor()).to(at::kFloat);
  at::Tensor out = at::empty({rows, spec_.vocabulary}, at::kFloat);
  if (rows <= kLinearRowsMax) {
    const at::Tensor x = hidden.contiguous();
    linear_rows({.dtype = dtype_,
                 .weight = head.const_data_ptr(),
                 .in_features = width,
                 .out_features = spec_.vocabulary,
                 .rows = rows,
                 .x = x.const_data_ptr<float>(),
                 .out = out.mutable_data_ptr<float>()});
    return out;
  }
  if (own_products_serve(head, at::Tensor())) return own_products_f32(hidden, head);
  if (dtype_ == DType::f32) return at::linear(hidden, head);
  // A bf16 product would round the logits to 8 bits; block by block the weights become f32 operands
  // whose products are bf16 and whose sums stay f32.
  MediumPrecision scope;
  constexpr int64_t kBlock = 4096;
  for (int64_t v = 0; v < spec_.vocabulary; v += kBlock) {
    const int64_t n = std::min(kBlock, spec_.vocabulary - v);
    out.narrow(1, v, n).copy_(at::mm(hidden, head.narrow(0, v, n).to(at::kFloat).t()));
  }
  return out;
}

at::Tensor prefill(const Model& model, KvCache& cache, std::span<const int32_t> tokens,
                   const PrefillOptions& options) {
  if (options.chunk < 1)
    throw InvalidArgument("[prefill] chunk must be at least 1; found {}", options.chunk);
  const auto total = static_cast<int64_t>(tokens.size());
  if (total == 0) throw InvalidArgument("[prefill] the text is empty; need at least one token");
  if (cache.logical_length() + total > model.spec().context_length)
    throw InvalidArgument(
        "[prefill] the model's window is {} tokens; found {} already seen and {} more",
        model.spec().context_length, cache.logical_length(), total);
  const KvCache::Mark start = cache.mark();
  at::Tensor logits;
  std::vector<at::Tensor> all;
  try {
    cache.reserve(total);
    for (int64_t done = 0; done < total;) {
      const int64_t n = std::min(options.chunk, total - done);
      const bool last = done + n == total;
      ForwardOptions forward;
      forward.logits =
          options.logits == LogitsWanted::last && !last ? LogitsWanted::none : options.logits;
      forward.hidden = static_cast<bool>(options.on_hidden);
      const bool last_row = forward.logits == LogitsWanted::last;
      if (forward.hidden && last_row) forward.logits = LogitsWanted::none;  // of all rows
      const ForwardResult result =
          model.forward(cache, tokens.subspan(done, n), forward, options.probe);
      logits = result.logits;
      if (forward.hidden) {
        options.on_hidden(done, result.hidden);
        if (last_row) logits = model.head_logits(result.hidden.narrow(0, n - 1, 1));
      }
      if (options.logits == LogitsWanted::all) all.push_back(logits);
      done += n;
      report_progress(options.progress, {"prefill", "tokens", done, total});
    }
  } catch (...) {
    cache.rollback(start);
    throw;
  }
  return all.empty() ? logits : all.size() == 1 ? all.front() : at::cat(all);
}

Model random_model(ModelSpec spec, DType dtype, uint64_t seed) {
  spec_validate(spec, "random model");
  const auto type = to_scalar_type(dtype);
  Random random(seed);
  const auto matrix = [&](int64_t rows, int64_t width, double scale) {
    at::Tensor t = at::empty({rows, width}, at::kFloat);
    float* p = t.mutable_data_ptr<float>();
    // A sum of four uniforms is normal enough here and four times as fast as Box-Muller.
    for (int64_t i = 0; i < rows * width; ++i) {
      const uint64_t bits = random();
      double x = -2.0;
      for (int part = 0; part < 4; ++part)
        x += static_cast<double>((bits >> (16 * part)) & 0xffff) / 65536.0;
      p[i] = static_cast<float>(x * 1.7320508 * scale);
    }
    return t.to(type);
  };
  const auto norm = [&](int64_t width) {
    at::Tensor t = matrix(1, width, 0.1).to(at::kFloat).view({width});
    return spec.norm_plus_one ? t : t + 1.0;
  };
  const int64_t q = spec.query_heads * spec.head_dim, k = spec.kv_heads * spec.head_dim;
  const double in = 1.0 / std::sqrt(static_cast<double>(spec.hidden));
  Weights w;
  w.embedding = matrix(spec.vocabulary, spec.hidden, spec.embedding_scale > 1 ? in : 1.0);
  w.final_norm = norm(spec.hidden);
  w.head = spec.tied_head ? w.embedding : matrix(spec.vocabulary, spec.hidden, in);
  for (int64_t l = 0; l < spec.layer_count(); ++l) {
    LayerWeights x;
    x.attention_norm = norm(spec.hidden);
    x.qkv = matrix(q + 2 * k, spec.hidden, in);
    if (spec.qkv_bias) x.qkv_bias = matrix(1, q + 2 * k, 0.1).view({q + 2 * k});
    if (spec.qk_norm) {
      x.q_norm = norm(spec.head_dim);
      x.k_norm = norm(spec.head_dim);
    }
    x.output = matrix(spec.hidden, q, 1.0 / std::sqrt(static_cast<double>(q)));
    if (spec.output_bias) x.output_bias = matrix(1, spec.hidden, 0.1).view({spec.hidden});
    if (spec.sandwich_norms) {
      x.post_attention_norm = norm(spec.hidden);
      x.post_mlp_norm = norm(spec.hidden);
    }
    x.mlp_norm = norm(spec.hidden);
    x.gate_up = matrix(2 * spec.intermediate, spec.hidden, in);
    x.down = matrix(spec.hidden, spec.intermediate,
                    1.0 / std::sqrt(static_cast<double>(spec.intermediate)));
    if (spec.mlp_bias) {
      x.gate_up_bias = matrix(1, 2 * spec.intermediate, 0.1).view({2 * spec.intermediate});
      x.down_bias = matrix(1, spec.hidden, 0.1).view({spec.hidden});
    }
    w.layers.push_back(std::move(x));
  }
  return Model(std::move(spec), std::move(w), dtype);
}

}  // namespace limbeck
