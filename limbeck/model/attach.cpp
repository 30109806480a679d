#include "limbeck/model/attach.h"

#include "limbeck/base/error.h"
#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {
namespace {

LayerSegmentPtr moved(const Model& model, int64_t layer, LayerSegment segment, int64_t distance) {
  if (distance != 0 && segment.slots() > 0) {
    const at::Tensor offsets = at::full({segment.slots()}, distance, at::kLong);
    segment.keys = rotate_keys(segment.keys, offsets, model.inverse_frequencies(layer));
    segment.positions = segment.positions + distance;
  }
  return std::make_shared<LayerSegment>(std::move(segment));
}

/// The piece's ring, rotated, at the slots where its new positions belong.
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

}  // namespace

void cache_attach(const Model& model, KvCache& cache, const KvCache& piece,
                  std::optional<PositionRange> range) {
  c10::NoGradGuard guard;
  if (!(cache.shape() == piece.shape()) ||
      !(cache.shape() == model.spec().cache_shape(model.dtype())))
    throw Mismatch("[cache.attach] both caches must have been made by this model");
  const PositionRange part = range.value_or(PositionRange{0, piece.logical_length()});
  if (part.begin < 0 || part.end > piece.logical_length() || part.size() < 1)
    throw InvalidArgument(
        "[cache.attach] the range must lie in [0, {}) and not be empty; found [{}, {})",
        piece.logical_length(), part.begin, part.end);
  const bool rings = piece.shape().full_layer_count() < piece.shape().layer_count();
  if (rings && part.end != piece.logical_length())
    throw InvalidArgument(
        "[cache.attach] a model with sliding windows can only attach up to the piece's end at {}; "
        "found {}",
        piece.logical_length(), part.end);
  if (cache.logical_length() + part.size() > model.spec().context_length)
    throw InvalidArgument(
        "[cache.attach] the model's window is {} tokens; found {} already seen and {} more",
        model.spec().context_length, cache.logical_length(), part.size());
  const int64_t distance = cache.logical_length() - part.begin;

  std::vector<SegmentInfo> infos = piece.segments();
  if (piece.tail_begin() < piece.logical_length()) {
    SegmentInfo tail;
    tail.begin = piece.tail_begin();
    tail.end = piece.logical_length();
    infos.push_back(tail);
  }
  std::vector<KvCache::NewSegment> fresh;
  for (SegmentInfo info : infos) {
    const PositionRange cut{std::max(info.begin, part.begin), std::min(info.end, part.end)};
    if (cut.size() <= 0) continue;
    KvCache::NewSegment s;
    info.begin = cut.begin + distance;
    info.end = cut.end + distance;
    s.info = std::move(info);
    s.layers.resize(piece.shape().layer_count());
    for (int64_t l = 0; l < piece.shape().layer_count(); ++l)
      if (piece.layer(l).kind.type == LayerKind::Type::full)
        s.layers[l] = moved(model, l, cache_gather(piece, l, cut), distance);
    fresh.push_back(std::move(s));
  }
  std::vector<LayerTail> new_rings(piece.shape().layer_count());
  for (int64_t l = 0; l < piece.shape().layer_count(); ++l)
    if (piece.layer(l).kind.type == LayerKind::Type::ring)
      new_rings[l] = moved_ring(model, l, piece.layer(l).tail, distance);
  for (KvCache::NewSegment& s : fresh) {
    const std::span<const int32_t> all(piece.tokens());
    const auto tokens = all.subspan(s.info.begin - distance, s.info.end - s.info.begin);
    cache.append_segment(std::move(s.info), std::move(s.layers), tokens, new_rings);
  }
}

}  // namespace limbeck
