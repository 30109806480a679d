#include "limbeck/model/weights.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/segment.h"

#include <array>

namespace limbeck {
namespace {

class Loader {
 public:
  Loader(const ModelSpec& spec, const TensorSource& source, DType dtype)
      : spec_(spec),
        source_(source),
        matrix_(at::TensorOptions().dtype(to_scalar_type(dtype))),
        vector_(at::TensorOptions().dtype(at::kFloat)) {}

  at::Tensor matrix(const std::string& name, int64_t rows, int64_t width) const {
    source_.check(name, std::array{rows, width});
    at::Tensor out = at::empty({rows, width}, matrix_);
    source_.read(name, out);
    return out;
  }
  at::Tensor norm(const std::string& name, int64_t width) const {
    source_.check(name, std::array{width});
    at::Tensor out = at::empty({width}, vector_);
    source_.read(name, out);
    return out;
  }
  /// Several matrices of one width under each other in one tensor.
  at::Tensor stacked(const std::vector<std::pair<std::string, int64_t>>& parts,
                     int64_t width) const {
    int64_t rows = 0;
    for (const auto& [name, n] : parts) {
      source_.check(name, width > 0 ? std::vector<int64_t>{n, width} : std::vector<int64_t>{n});
      rows += n;
    }
    at::Tensor out = width > 0 ? at::empty({rows, width}, matrix_) : at::empty({rows}, matrix_);
    rows = 0;
    for (const auto& [name, n] : parts) {
      source_.read(name, out.narrow(0, rows, n));
      rows += n;
    }
    return out;
  }
  at::Tensor bias(const std::vector<std::pair<std::string, int64_t>>& parts) const {
    return stacked(parts, 0);
  }

  LayerWeights layer(int64_t l) const {
    const std::string p = fmt::format("model.layers.{}.", l), a = p + "self_attn.", m = p + "mlp.";
    const int64_t hidden = spec_.hidden, f = spec_.intermediate;
    const int64_t q = spec_.query_heads * spec_.head_dim, k = spec_.kv_heads * spec_.head_dim;
    LayerWeights w;
    w.attention_norm = norm(p + "input_layernorm.weight", hidden);
    w.qkv = stacked({{a + "q_proj.weight", q}, {a + "k_proj.weight", k}, {a + "v_proj.weight", k}},
                    hidden);
    if (spec_.qkv_bias)
      w.qkv_bias = bias({{a + "q_proj.bias", q}, {a + "k_proj.bias", k}, {a + "v_proj.bias", k}});
    if (spec_.qk_norm) {
      w.q_norm = norm(a + "q_norm.weight", spec_.head_dim);
      w.k_norm = norm(a + "k_norm.weight", spec_.head_dim);
    }
    w.output = matrix(a + "o_proj.weight", hidden, q);
    if (spec_.output_bias) w.output_bias = bias({{a + "o_proj.bias", hidden}});
    if (spec_.sandwich_norms) {
      w.post_attention_norm = norm(p + "post_attention_layernorm.weight", hidden);
      w.mlp_norm = norm(p + "pre_feedforward_layernorm.weight", hidden);
      w.post_mlp_norm = norm(p + "post_feedforward_layernorm.weight", hidden);
    } else {
      w.mlp_norm = norm(p + "post_attention_layernorm.weight", hidden);
    }
    w.gate_up = stacked({{m + "gate_proj.weight", f}, {m + "up_proj.weight", f}}, hidden);
    w.down = matrix(m + "down_proj.weight", hidden, f);
    if (spec_.mlp_bias) {
      w.gate_up_bias = bias({{m + "gate_proj.bias", f}, {m + "up_proj.bias", f}});
      w.down_bias = bias({{m + "down_proj.bias", hidden}});
    }
    return w;
  }

 private:
  const ModelSpec& spec_;
  const TensorSource& source_;
  at::TensorOptions matrix_, vector_;
};

/// Every name that load_weights will ask for.
std::vector<std::string> expected_names(const ModelSpec& spec) {
  std::vector<std::string> names{"model.embed_tokens.weight", "model.norm.weight"};
  if (!spec.tied_head) names.push_back("lm_head.weight");
  for (int64_t l = 0; l < spec.layer_count(); ++l) {
    const auto add = [&](std::string_view tail) {
      names.push_back(fmt::format("model.layers.{}.{}", l, tail));
    };
    for (auto part :
         {"input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_proj.weight",
          "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
          "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"})
      add(part);
    if (spec.qkv_bias)
      for (auto part : {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"})
        add(part);
    if (spec.output_bias) add("self_attn.o_proj.bias");
    if (spec.qk_norm)
      for (auto part : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) add(part);
    if (spec.sandwich_norms)
      for (auto part : {"pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight"})
        add(part);
    if (spec.mlp_bias)
      for (auto part : {"mlp.gate_proj.bias", "mlp.up_proj.bias", "mlp.down_proj.bias"}) add(part);
  }
  return names;
}

}  // namespace

int64_t Weights::bytes() const {
  int64_t total = 0;
  const auto add = [&](const at::Tensor& t) {
    if (t.defined()) total += t.numel() * static_cast<int64_t>(t.element_size());
  };
  add(embedding);
  add(final_norm);
  if (!head.is_same(embedding)) add(head);
  for (const LayerWeights& w : layers)
    for (const at::Tensor& t : {w.attention_norm, w.qkv, w.qkv_bias, w.q_norm, w.k_norm, w.output,
                                w.output_bias, w.post_attention_norm, w.mlp_norm, w.gate_up,
                                w.gate_up_bias, w.down, w.down_bias, w.post_mlp_norm})
      add(t);
  return total;
}

Weights load_weights(const ModelSpec& spec, const TensorSource& source, DType dtype) {
  const auto names = expected_names(spec);
  std::string first_missing;
  size_t missing = 0;
  for (const std::string& name : names) {
    if (source.has(name)) continue;
    if (missing++ == 0) first_missing = name;
  }
  if (missing > 0)
    throw FormatError("[model] {}: tensor \"{}\" missing; {} of {} expected tensors not found",
                      source.name(), first_missing, missing, names.size());
  const Loader load(spec, source, dtype);
  Weights w;
  w.embedding = load.matrix("model.embed_tokens.weight", spec.vocabulary, spec.hidden);
  w.final_norm = load.norm("model.norm.weight", spec.hidden);
  w.head =
      spec.tied_head ? w.embedding : load.matrix("lm_head.weight", spec.vocabulary, spec.hidden);
  for (int64_t l = 0; l < spec.layer_count(); ++l) w.layers.push_back(load.layer(l));
  return w;
}

}  // namespace limbeck
