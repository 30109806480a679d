/// ModelSpec: a transformer family as plain data. The forward pass branches on these fields, never
/// on names; both readers (Hugging Face folders, GGUF) fill the same struct.
#pragma once

#include "limbeck/cache/layout.h"
#include "limbeck/model/kernels/linear.h"

#include <cstdint>
#include <string>
#include <vector>

namespace limbeck {

/// Rotary embedding of a layer. Angles are position * inverse frequency in float32; pairs are
/// (j, j + D/2).
struct RopeSpec {
  enum class Type : uint8_t { plain, linear, llama3, yarn, divisors };
  Type type = Type::plain;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  int64_t original_length = 0;                           ///< llama3, yarn: tokens
  double beta_fast = 32.0, beta_slow = 1.0;              ///< yarn
  double attention_factor = 0.0;                         ///< yarn; 0 = 0.1 ln(factor) + 1
  std::vector<float> divisors = {};                      ///< GGUF's rope_freqs: [D / 2]

  /// Inverse frequencies [head_dim / 2] after scaling.
  std::vector<float> inverse_frequencies(int64_t head_dim) const;
  /// What cos and sin are multiplied by (1 but for yarn).
  double cos_sin_factor() const;
  /// Canonical text, e.g. "llama3 theta=500000 factor=32 low=1 high=4 original=8192".
  std::string describe() const;
  bool operator==(const RopeSpec&) const = default;
};
std::string_view rope_type_name(RopeSpec::Type type);

struct LayerSpec {
  LayerKind attention;
  RopeSpec rope;
  bool operator==(const LayerSpec&) const = default;
};

struct ModelSpec {
  std::string family;  ///< model_type: "llama", "qwen2", "qwen3", "gemma3_text", "mistral"
  int64_t hidden = 0, intermediate = 0, query_heads = 0, kv_heads = 0, head_dim = 0, vocabulary = 0;
  int64_t context_length = 0;  ///< positions the model was made for
  double softmax_scale = 0;
  double norm_eps = 1e-5;
  double embedding_scale = 1.0;  ///< rounded to the weights' dtype before use
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;         ///< RMSNorm over head_dim before RoPE
  bool norm_plus_one = false;   ///< norms multiply by (1 + w) (Gemma)
  bool sandwich_norms = false;  ///< norms after attention and MLP too (Gemma: four a layer)
  bool tied_head = false;
  Activation activation = Activation::silu;
  std::vector<LayerSpec> layers;
  std::vector<int32_t> eos;  ///< union of config and generation config
  int32_t bos = -1;          ///< -1 = none

  int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
  int64_t group() const { return query_heads / kv_heads; }
  CacheShape cache_shape(DType dtype) const;
  /// Canonical JSON of the fields that decide what is computed (part of the model's fingerprint).
  std::string canonical() const;
};

/// Throws FormatError naming `source` and the field when a field is impossible: heads that do not
/// divide, an odd head dimension, sizes below 1 or absurd.
void spec_validate(const ModelSpec& spec, const std::string& source);

/// Sampling defaults of the model's generation_config.
struct GenerationDefaults {
  double temperature = 0;  ///< 0 = greedy
  double top_p = 1.0;
  int64_t top_k = 0;
  double repetition_penalty = 1.0;
};

}  // namespace limbeck
