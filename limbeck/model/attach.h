/// Joining caches: one text's cache behind another's.
#pragma once

#include "limbeck/model/model.h"

#include <optional>

namespace limbeck {

/// Appends what `piece` holds of the positions `range` (default: everything) behind `cache`. Keys
/// are rotated by the difference of positions with each layer's own frequencies, positions move
/// along; bias and values stay. Ring layers take the piece's rings: they serve the newest text.
/// Streaming heads hold what they would hold of both texts in a row, sinks and newest entries; both
/// caches need the same pattern (an empty `cache` takes the piece's), and a range must reach the
/// piece's end. Token ids come along. Throws Mismatch for caches of different shape,
/// InvalidArgument when the window is exceeded or the range cuts nothing; then `cache` is as it
/// was. What the pieces know of each other is only what later tokens read from both: neither
/// attended to the other.
void cache_attach(const Model& model, KvCache& cache, const KvCache& piece,
                  std::optional<PositionRange> range = std::nullopt);

}  // namespace limbeck
