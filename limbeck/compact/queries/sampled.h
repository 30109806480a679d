/// The text's own continuations as reference queries: what the model says next asks for what it
/// will need.
#pragma once

#include "limbeck/compact/queries/reference_queries.h"

namespace limbeck {

/// Continues the cache by `tokens` sampled tokens (temperature 0.8) and returns them as a suffix of
/// the given row weight. The cache is not changed; where it cannot forget its last token (compacted
/// or sealed, windows, streaming heads), that stands twice before the continuation. Throws
/// InvalidArgument beyond the window and for a weight that is not above 0.
ReferenceSuffix sampled_suffix(const Model& model, const KvCache& cache, PositionRange span,
                               int64_t tokens, double weight, int64_t seed);

}  // namespace limbeck
