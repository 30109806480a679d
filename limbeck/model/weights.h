/// The weights of a transformer, fused where one product serves several projections.
#pragma once

#include "limbeck/model/spec.h"
#include "limbeck/model/tensor_source.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace limbeck {

/// Matrices are [out, in] in the weights' dtype; norms are f32 (Gemma's without the +1).
struct LayerWeights {
  at::Tensor attention_norm;         ///< [hidden] before attention
  at::Tensor qkv, qkv_bias;          ///< [(Hq + 2 H) D, hidden]; bias undefined when absent
  at::Tensor q_norm, k_norm;         ///< [D] or undefined
  at::Tensor output, output_bias;    ///< [hidden, Hq D]
  at::Tensor post_attention_norm;    ///< [hidden] on the attention's output, sandwich norms only
  at::Tensor mlp_norm;               ///< [hidden] before the MLP
  at::Tensor gate_up, gate_up_bias;  ///< [2 F, hidden]: gate rows, then up rows
  at::Tensor down, down_bias;        ///< [hidden, F]
  at::Tensor post_mlp_norm;          ///< sandwich norms only
};

struct Weights {
  at::Tensor embedding;  ///< [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  ///< [hidden]
  at::Tensor head;        ///< [vocabulary, hidden]; the embedding itself when tied
  int64_t bytes() const;  ///< each tensor once
};

/// Reads everything; throws FormatError naming the first missing tensor and how many are missing.
Weights load_weights(const ModelSpec& spec, const TensorSource& source, DType dtype);

}  // namespace limbeck
