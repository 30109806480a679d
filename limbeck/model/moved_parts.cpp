#include "limbeck/model/moved_parts.h"

#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

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

std::optional<LayerStream> joined_stream(const Model& model, int64_t layer,
                                         const LayerStream& stream, int64_t end,
                                         const LayerStream& piece, int64_t from, int64_t length) {
  // All of what either holds, in order of position; then what reading them in a row would keep.
  const int64_t total = end + length, heads = static_cast<int64_t>(stream.heads.size());
  std::vector<std::pair<int64_t, int64_t>> own, other;  // position in the whole, row
  const std::vector<int64_t> here = stream_positions(stream, end),
                             there = stream_positions(piece, from + length);
  for (size_t i = 0; i < here.size(); ++i) own.emplace_back(here[i], static_cast<int64_t>(i));
  for (size_t i = 0; i < there.size(); ++i)
    if (there[i] >= from) other.emplace_back(there[i] - from + end, static_cast<int64_t>(i));
  const auto wanted = [&](int64_t p) {
    return p < stream.sinks || p >= std::max(stream.sinks, total - stream.window);
  };
  const auto rows_of = [&](std::vector<std::pair<int64_t, int64_t>>& held) {
    std::erase_if(held, [&](const auto& entry) { return !wanted(entry.first); });
    std::sort(held.begin(), held.end());
    std::vector<int64_t> rows;
    for (const auto& entry : held) rows.push_back(entry.second);
    return at::tensor(rows, at::kLong);
  };
  const at::Tensor own_rows = rows_of(own), other_rows = rows_of(other);
  const int64_t held = std::min(total, stream.sinks + stream.window);
  if (static_cast<int64_t>(own.size() + other.size()) < held) return std::nullopt;
  const auto taken = [&](const at::Tensor& x, const at::Tensor& rows) {
    return x.defined() ? x.index_select(1, rows) : at::Tensor();
  };
  at::Tensor moved = taken(piece.keys, other_rows);
  const int64_t count = other_rows.size(0), dim = moved.size(2);
  if (count > 0 && end != from)
    moved = rotate_keys(moved.reshape({heads * count, dim}),
                        at::full({heads * count}, end - from, at::kLong),
                        model.inverse_frequencies(layer))
                .view({heads, count, dim});
  LayerStream out = stream;
  out.length = held;
  out.next = std::max<int64_t>(0, held - stream.sinks) % stream.window;
  out.keys = at::empty({heads, stream.sinks + stream.window, dim}, moved.options());
  out.values = at::empty_like(out.keys);
  const auto store = [&](const at::Tensor& to, const at::Tensor& first, const at::Tensor& second) {
    if (first.defined()) to.narrow(1, 0, first.size(1)).copy_(first);
    to.narrow(1, held - count, count).copy_(second);
  };
  store(out.keys, taken(stream.keys, own_rows), moved);
  store(out.values, taken(stream.values, own_rows), taken(piece.values, other_rows));
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
