/// Parts of caches at other positions: keys rotated by the distance with the layer's frequencies,
/// values and biases as they were. Private to this room.
#pragma once

#include "limbeck/model/model.h"

#include <optional>

namespace limbeck {

LayerSegmentPtr moved_segment(const Model& model, int64_t layer, LayerSegment segment,
                              int64_t distance);

/// A ring at the slots where its new positions belong.
LayerTail moved_ring(const Model& model, int64_t layer, const LayerTail& ring, int64_t distance);

/// The streaming heads of a layer after a piece of `length` positions has been put behind `end`
/// others: the first sinks and the newest entries of both. `piece` holds positions up to `from +
/// length`, of which the last `length` come along. Nullopt when the first positions of the piece
/// are needed as sinks and are no longer held.
std::optional<LayerStream> joined_stream(const Model& model, int64_t layer,
                                         const LayerStream& stream, int64_t end,
                                         const LayerStream& piece, int64_t from, int64_t length);

/// Streaming heads: the ring moves, the sinks stay where they are.
LayerStream moved_stream(const Model& model, int64_t layer, const LayerStream& stream,
                         int64_t distance);

}  // namespace limbeck
