/// Parts of caches at other positions: keys rotated by the distance with the layer's frequencies,
/// values and biases as they were. Private to this room.
#pragma once

#include "limbeck/model/model.h"

namespace limbeck {

LayerSegmentPtr moved_segment(const Model& model, int64_t layer, LayerSegment segment,
                              int64_t distance);

/// A ring at the slots where its new positions belong.
LayerTail moved_ring(const Model& model, int64_t layer, const LayerTail& ring, int64_t distance);

/// Streaming heads: the ring moves, the sinks stay where they are.
LayerStream moved_stream(const Model& model, int64_t layer, const LayerStream& stream,
                         int64_t distance);

}  // namespace limbeck
