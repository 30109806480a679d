/// Polish: biases and values of a compact span as parameters, trained for a few steps through the
/// frozen model (docs/methods.md; Cartridges, arXiv 2506.06266, from a good start).
#pragma once

#include "limbeck/compact/queries/reference_queries.h"

namespace limbeck {

struct PolishOptions {
  int64_t steps = 15;        ///< Adam steps, the rate falling linearly to 20 %
  double bias_rate = 0.03;   ///< first rate of the biases
  double value_rate = 0.03;  ///< of the values, times the rms of the span's values
  int64_t block = 512;       ///< rows that are differentiated together
  /// Slots at these positions stay as they are, and so do the protected ranges of the cache.
  std::vector<PositionRange> verbatim = {};
};

/// KL(full || compact): the mean over a suffix's tokens, suffixes by their weights.
struct PolishReport {
  double before = 0;
  double after = 0;         ///< of what is returned; never above `before`
  int64_t diverged_at = 0;  ///< step after which the loss was no number; 0: none
};

/// Lowers KL(full || compact) on the suffixes' predictions: of what the steps pass through, the
/// start included, the one with the lowest is returned. `compacted` holds in segment `segment`
/// what stands for the span in `full`; keys, positions and everything else stay. Gradients do not
/// flow through the keys and values that earlier blocks of a suffix leave. On an error `compacted`
/// is as it was. Throws InvalidArgument for steps or block below 1, or no suffix.
PolishReport polish(const Model& model, const KvCache& full, KvCache& compacted, int64_t segment,
                    std::span<const ReferenceSuffix> suffixes, const PolishOptions& options,
                    const ProgressFn& progress = {});

}  // namespace limbeck
