/// Language-model metrics of a compact cache: how the predictions of running text change, position
/// by position behind the cut.
///
/// Both caches are fed the same continuation in the same blocks, so that no matrix of all
/// positions is stored; softmax in f32, sums in f64. The continuation's first token is predicted by
/// a row from before the compaction and is not scored. Non-goals: questions (fidelity.h).
#pragma once

#include "limbeck/model/model.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// One entry a scored position, in order; the first is at distance 1 from the cut. p is the full
/// cache's distribution, q the compact one's, y the token of the text.
struct LmPositions {
  std::vector<double> nll_full;   ///< -ln p(y), nats
  std::vector<double> nll_other;  ///< -ln q(y)
  std::vector<double> kl;         ///< sum of p (ln p - ln q), nats, not negative
  std::vector<double> dp;         ///< q(y) - p(y)
  std::vector<double> agree;      ///< 1 when p and q have the same likeliest token (lowest id)
};

/// Rows that a block feeds.
inline constexpr int64_t kLmBlock = 64;

/// Appends the positions of log-probabilities [n, vocabulary] f32; `targets` [n]. Throws
/// NumericalError for a divergence below -1e-6, which is no rounding.
void add_lm_rows(const at::Tensor& full, const at::Tensor& other, std::span<const int32_t> targets,
                 LmPositions& out);

/// Feeds all but the last token of `continuation` behind both caches, which are longer afterwards.
/// Throws InvalidArgument for fewer than two tokens and what forward() throws.
LmPositions lm_positions(const Model& model, KvCache& full, KvCache& other,
                         std::span<const int32_t> continuation);

/// Means and quantiles by name: nll, nll_full, ln_ratio (their difference), top1, kl, kl_50, kl_90,
/// kl_95, kl_99, kl_max, dp_mean, dp_rms, dp_0, dp_0.1, dp_1, dp_5, dp_10, dp_25, dp_50 ... dp_100;
/// and each again for the distances "[1,16)", "[16,64)", "[64,256)" and "[256,K)" that have
/// positions, as in "kl_99 [16,64)". Nothing for no positions.
std::map<std::string, double> lm_metrics(const LmPositions& positions);

}  // namespace limbeck
