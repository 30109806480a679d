#include "limbeck/model/config.h"

#include "limbeck/base/error.h"

#include <cmath>
#include <cstring>

namespace limbeck {
namespace {

std::string architecture_of(const GgufFile& f) {
  const std::string a = f.require_text("general.architecture");
  if (a != "llama" && a != "qwen2" && a != "qwen3")
    throw FormatError(
        "[model] {}: general.architecture must be llama, qwen2 or qwen3; found \"{}\"", f.name(),
        a);
  return a;
}

RopeSpec read_rope(const GgufFile& f, const std::string& prefix, int64_t head_dim,
                   int64_t context) {
  RopeSpec rope;
  rope.theta = f.number(prefix + "rope.freq_base").value_or(10000.0);
  const std::string type = f.text(prefix + "rope.scaling.type").value_or("none");
  const GgufTensor* divisors = f.find_tensor("rope_freqs.weight");
  if (divisors != nullptr) {
    if (divisors->type != GgufType::f32 || divisors->elements() != head_dim / 2)
      throw FormatError(
          "[model] {}: rope_freqs.weight must be F32 with {} elements; found {} with {}", f.name(),
          head_dim / 2, gguf_type_name(divisors->type), divisors->elements());
    rope.type = RopeSpec::Type::divisors;
    rope.divisors.resize(head_dim / 2);
    gguf_dequantize(*divisors, 0, divisors->elements(), rope.divisors);
    for (float x : rope.divisors)
      if (!(x > 0))
        throw FormatError("[model] {}: rope_freqs.weight must be positive; found {}", f.name(), x);
    return rope;
  }
  if (type == "none") return rope;
  rope.factor = f.number(prefix + "rope.scaling.factor").value_or(1.0);
  if (type == "linear") {
    rope.type = RopeSpec::Type::linear;
  } else if (type == "yarn") {
    rope.type = RopeSpec::Type::yarn;
    rope.original_length =
        f.integer(prefix + "rope.scaling.original_context_length").value_or(context);
  } else {
    throw FormatError("[model] {}: {}rope.scaling.type must be none, linear or yarn; found \"{}\"",
                      f.name(), prefix, type);
  }
  return rope;
}

}  // namespace

bool gguf_interleaved_rope(const GgufFile& f) { return architecture_of(f) == "llama"; }

ModelSpec spec_from_gguf(const GgufFile& f) {
  const std::string a = architecture_of(f), prefix = a + ".";
  ModelSpec s;
  s.family = a;
  s.hidden = f.require_integer(prefix + "embedding_length");
  s.intermediate = f.require_integer(prefix + "feed_forward_length");
  s.query_heads = f.require_integer(prefix + "attention.head_count");
  s.kv_heads = f.integer(prefix + "attention.head_count_kv").value_or(s.query_heads);
  if (s.query_heads < 1)
    throw FormatError("[model] {}: {}attention.head_count must be at least 1; found {}", f.name(),
                      prefix, s.query_heads);
  s.head_dim = f.integer(prefix + "attention.key_length").value_or(s.hidden / s.query_heads);
  const int64_t value_dim = f.integer(prefix + "attention.value_length").value_or(s.head_dim);
  if (value_dim != s.head_dim)
    throw FormatError("[model] {}: key and value lengths must be equal; found {} and {}", f.name(),
                      s.head_dim, value_dim);
  s.context_length = f.require_integer(prefix + "context_length");
  s.norm_eps = f.number(prefix + "attention.layer_norm_rms_epsilon").value_or(1e-5);
  s.softmax_scale = 1.0 / std::sqrt(static_cast<double>(s.head_dim));
  s.qkv_bias = f.find_tensor("blk.0.attn_q.bias") != nullptr;
  s.output_bias = f.find_tensor("blk.0.attn_output.bias") != nullptr;
  s.mlp_bias = f.find_tensor("blk.0.ffn_up.bias") != nullptr;
  s.qk_norm = f.find_tensor("blk.0.attn_q_norm.weight") != nullptr;
  s.tied_head = f.find_tensor("output.weight") == nullptr;
  const GgufTensor* embedding = f.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    throw FormatError("[model] {}: token_embd.weight with two dimensions is missing", f.name());
  s.vocabulary = embedding->shape[0];
  const int64_t layers = f.require_integer(prefix + "block_count");
  if (layers < 1 || layers > 1024)
    throw FormatError("[model] {}: {}block_count must be in [1, 1024]; found {}", f.name(), prefix,
                      layers);
  const int64_t rope_dim = f.integer(prefix + "rope.dimension_count").value_or(s.head_dim);
  if (rope_dim != s.head_dim)
    throw FormatError(
        "[model] {}: rope must cover the whole head of {}; found {}rope.dimension_count {}",
        f.name(), s.head_dim, prefix, rope_dim);
  if (const auto window = f.integer(prefix + "attention.sliding_window"); window && *window > 0)
    throw FormatError("[model] {}: sliding windows in GGUF are not supported; found {}", f.name(),
                      *window);
  if (s.head_dim < 2) throw FormatError("[model] {}: head dimension is {}", f.name(), s.head_dim);
  const RopeSpec rope = read_rope(f, prefix, s.head_dim, s.context_length);
  s.layers.assign(layers, LayerSpec{{}, rope});
  if (const auto eos = f.integer("tokenizer.ggml.eos_token_id"))
    s.eos.push_back(static_cast<int32_t>(*eos));
  if (const auto eot = f.integer("tokenizer.ggml.eot_token_id");
      eot && (s.eos.empty() || *eot != s.eos[0]))
    s.eos.push_back(static_cast<int32_t>(*eot));
  if (const auto bos = f.integer("tokenizer.ggml.bos_token_id")) s.bos = static_cast<int32_t>(*bos);
  spec_validate(s, f.name());
  return s;
}

}  // namespace limbeck
