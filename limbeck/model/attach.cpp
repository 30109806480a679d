#include "limbeck/model/attach.h"

#include "limbeck/base/error.h"
#include "limbeck/model/moved_parts.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {
namespace {

/// The pattern of both caches, null when no head streams.
const HeadPattern* common_pattern(const KvCache& cache, const KvCache& piece) {
  const HeadPattern *own = cache.head_pattern(), *other = piece.head_pattern();
  if (own == nullptr && cache.logical_length() == 0) return other;
  if ((own == nullptr) != (other == nullptr) || (own != nullptr && !(*own == *other)))
    throw Mismatch(
        "[cache.attach] both caches need the same streaming heads, sinks and windows; found {} and "
        "{}",
        own == nullptr ? "none" : "a pattern",
        other == nullptr ? "none"
        : own == nullptr ? "a pattern"
                         : "another");
  return own;
}

/// What the streaming heads hold afterwards [layers].
std::vector<LayerStream> joined_streams(const Model& model, const KvCache& cache,
                                        const KvCache& piece, PositionRange part) {
  std::vector<LayerStream> out(piece.shape().layer_count());
  for (int64_t l = 0; l < piece.shape().layer_count(); ++l) {
    const LayerStream& other = piece.layer(l).stream;
    if (!other.active()) continue;
    LayerStream empty = other;
    empty.keys = empty.values = at::Tensor();
    empty.length = empty.next = 0;
    auto joined =
        joined_stream(model, l, cache.logical_length() > 0 ? cache.layer(l).stream : empty,
                      cache.logical_length(), other, part.begin, part.size());
    if (!joined)
      throw InvalidArgument(
          "[cache.attach] the streaming heads of layer {} no longer hold the positions from {} on "
          "that would be sinks behind {} tokens",
          l, part.begin, cache.logical_length());
    out[l] = std::move(*joined);
  }
  return out;
}

}  // namespace

void cache_attach(const Model& model, KvCache& cache, const KvCache& piece,
                  std::optional<PositionRange> range) {
  c10::NoGradGuard guard;
  if (!(cache.shape() == piece.shape()) ||
      !(cache.shape() == model.spec().cache_shape(model.dtype())))
    throw Mismatch("[cache.attach] both caches must have been made by this model");
  const HeadPattern* pattern = common_pattern(cache, piece);
  const PositionRange part = range.value_or(PositionRange{0, piece.logical_length()});
  if (part.begin < 0 || part.end > piece.logical_length() || part.size() < 1)
    throw InvalidArgument(
        "[cache.attach] the range must lie in [0, {}) and not be empty; found [{}, {})",
        piece.logical_length(), part.begin, part.end);
  const bool rings = piece.shape().full_layer_count() < piece.shape().layer_count();
  if ((rings || pattern != nullptr) && part.end != piece.logical_length())
    throw InvalidArgument(
        "[cache.attach] sliding windows and streaming heads can only attach up to the piece's end "
        "at "
        "{}; found {}",
        piece.logical_length(), part.end);
  if (cache.logical_length() + part.size() > model.spec().context_length)
    throw InvalidArgument(
        "[cache.attach] the model's window is {} tokens; found {} already seen and {} more",
        model.spec().context_length, cache.logical_length(), part.size());
  const int64_t distance = cache.logical_length() - part.begin;
  std::vector<LayerStream> streams;
  if (pattern != nullptr) streams = joined_streams(model, cache, piece, part);

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
        s.layers[l] = moved_segment(model, l, cache_gather(piece, l, cut), distance);
    fresh.push_back(std::move(s));
  }
  std::vector<LayerTail> new_rings(piece.shape().layer_count());
  for (int64_t l = 0; l < piece.shape().layer_count(); ++l)
    if (piece.layer(l).kind.type == LayerKind::Type::ring)
      new_rings[l] = moved_ring(model, l, piece.layer(l).tail, distance);
  if (pattern != nullptr && cache.head_pattern() == nullptr) cache.set_head_pattern(*pattern);
  for (KvCache::NewSegment& s : fresh) {
    const std::span<const int32_t> all(piece.tokens());
    const auto tokens = all.subspan(s.info.begin - distance, s.info.end - s.info.begin);
    cache.append_segment(std::move(s.info), std::move(s.layers), tokens, new_rings);
  }
  for (size_t l = 0; l < streams.size(); ++l)
    if (streams[l].active())
      cache.layer_for_append(static_cast<int64_t>(l)).stream = std::move(streams[l]);
}

}  // namespace limbeck
