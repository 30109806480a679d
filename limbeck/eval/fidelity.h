/// How far a compact cache moves a model's predictions from those with the full cache.
#pragma once

#include "limbeck/model/model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace limbeck {

/// Over the scored tokens, teacher-forced.
struct Fidelity {
  double kl = 0;        ///< mean KL(full || other), nats per token
  double top1 = 0;      ///< share of tokens with the same likeliest token
  double nll_full = 0;  ///< mean negative log-likelihood of the scored tokens, nats
  double nll_other = 0;
  int64_t tokens = 0;
};

/// Feeds `prompt` then `scored` behind both caches and compares the distributions that predict each
/// scored token. With an empty prompt the first scored token has no prediction and is not counted.
/// Both caches are as before afterwards.
Fidelity compare_caches(const Model& model, KvCache& full, KvCache& other,
                        std::span<const int32_t> prompt, std::span<const int32_t> scored);

/// Log-probabilities [n, vocabulary] f32 that predict each scored token (n as above).
at::Tensor scored_log_probs(const Model& model, KvCache& cache, std::span<const int32_t> prompt,
                            std::span<const int32_t> scored);

/// The same comparison on log-probabilities [n, vocabulary]; `targets` [n].
Fidelity compare_log_probs(const at::Tensor& full, const at::Tensor& other,
                           std::span<const int32_t> targets);

/// KL(full || other) of each row of log-probabilities [n, vocabulary], in f64. Throws
/// NumericalError for one that is below 0 by more than rounding, or NaN.
std::vector<double> row_divergences(const at::Tensor& full, const at::Tensor& other);

/// Token-weighted mean of several comparisons.
Fidelity mean_fidelity(std::span<const Fidelity> parts);

}  // namespace limbeck
