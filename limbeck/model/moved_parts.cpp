#include "limbeck/model/moved_parts.h"

#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>

namespace limbeck {

LayerSegmentPtr moved_segment(const Model& model, int64_t layer, LayerSegment segment,
                              int64_t distance) {
  if (distance != 0 && segment.slots() > 0) {
    const at::Tensor offsets = at::full({segment.slots()}, distance, at::kLong);
    segment.keys = rotate_keys(segment.keys, offsets, model.inverse_frequencies(layer));
    segment.positions = segment.positions + distance;
  }
  return std::make_shared<LayerSegment>(std::move(segment));
}

LayerTail moved_ring(const Model& model, int64_t layer, const LayerTail& ring, int64_t distance) {
  if (ring.length == 0) return {};
  LayerTail out = ring;
  const auto [keys, values] = ring_linear(ring);
  const int64_t heads = keys.size(0), n = keys.size(1), dim = keys.size(2),
                capacity = ring.capacity();
  const at::Tensor offsets = at::full({heads * n}, distance, at::kLong);
  const at::Tensor rotated =
      rotate_keys(keys.reshape({heads * n, dim}), offsets, model.inverse_frequencies(layer));
  out.first_position = ring.first_position + distance;
  const at::Tensor slots =
      at::arange(out.first_position, out.first_position + n).remainder(capacity);
  out.keys = at::zeros_like(ring.keys).index_copy(1, slots, rotated.view({heads, n, dim}));
  out.values = at::zeros_like(ring.values).index_copy(1, slots, values);
  return out;
}

LayerStream moved_stream(const Model& model, int64_t layer, const LayerStream& stream,
                         int64_t distance) {
  LayerStream out = stream_copy(stream);
  const int64_t ring = stream.length - std::min(stream.length, stream.sinks);
  if (ring == 0 || distance == 0) return out;
  const at::Tensor part = out.keys.narrow(1, stream.sinks, ring);
  const int64_t heads = part.size(0), dim = part.size(2);
  const at::Tensor offsets = at::full({heads * ring}, distance, at::kLong);
  part.copy_(
      rotate_keys(part.reshape({heads * ring, dim}), offsets, model.inverse_frequencies(layer))
          .view({heads, ring, dim}));
  return out;
}

}  // namespace limbeck
