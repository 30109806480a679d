/// Putting a new segment in the place of a span whose borders may cut older segments or the tail.
#pragma once

#include "limbeck/cache/kv_cache.h"

namespace limbeck {

/// What lies left and right of the span in segments that it cuts stays, as segments of its own (a
/// cut tail is sealed). `layers` [layers] holds the new segment. Strong guarantee.
void replace_span(KvCache& cache, PositionRange span, SegmentInfo info,
                  std::vector<LayerSegmentPtr> layers);

}  // namespace limbeck
