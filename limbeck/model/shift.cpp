#include "limbeck/model/shift.h"

#include "limbeck/base/error.h"
#include "limbeck/model/moved_parts.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {
namespace {

/// Segments and tail, in order.
std::vector<SegmentInfo> parts_of(const KvCache& cache) {
  std::vector<SegmentInfo> out = cache.segments();
  if (cache.tail_begin() < cache.logical_length()) {
    SegmentInfo tail;
    tail.begin = cache.tail_begin();
    tail.end = cache.logical_length();
    out.push_back(std::move(tail));
  }
  return out;
}

/// Appends what `cache` holds of `range`, moved to the end of `out`. Rings come with the last
/// piece.
void append_part(const Model& model, KvCache& out, const KvCache& cache, SegmentInfo info,
                 PositionRange range) {
  const int64_t distance = out.logical_length() - range.begin, layers = cache.shape().layer_count();
  std::vector<LayerSegmentPtr> segments(layers);
  std::vector<LayerTail> rings(layers);
  for (int64_t l = 0; l < layers; ++l) {
    if (cache.layer(l).kind.type == LayerKind::Type::full)
      segments[l] = moved_segment(model, l, cache_gather(cache, l, range), distance);
    else if (range.end == cache.logical_length())
      rings[l] = moved_ring(model, l, cache.layer(l).tail, distance);
  }
  info.begin = range.begin + distance;
  info.end = range.end + distance;
  const std::span<const int32_t> tokens(cache.tokens());
  out.append_segment(std::move(info), std::move(segments),
                     tokens.subspan(range.begin, range.size()), std::move(rings));
}

void check(const Model& model, const KvCache& cache, PositionRange drop) {
  if (!(cache.shape() == model.spec().cache_shape(model.dtype())))
    throw Mismatch("[cache.shift] the cache was not made by this model");
  if (drop.begin < 0 || drop.size() < 1 || drop.end >= cache.logical_length())
    throw InvalidArgument(
        "[cache.shift] the range must lie before the newest token at {} and not be empty; found "
        "[{}, {})",
        cache.logical_length() - 1, drop.begin, drop.end);
  if (drop.end > shift_limit(cache))
    throw InvalidArgument(
        "[cache.shift] sliding windows and streaming heads need what lies from position {} on; "
        "found [{}, {})",
        shift_limit(cache), drop.begin, drop.end);
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
    if (const LayerStream& s = cache.layer(l).stream; s.active() && drop.begin < s.sinks)
      throw InvalidArgument("[cache.shift] the first {} positions are sinks; found [{}, {})",
                            s.sinks, drop.begin, drop.end);
  for (const PositionRange& r : cache.protected_ranges())
    if (r.begin < drop.end && r.end > drop.begin)
      throw InvalidArgument("[cache.shift] [{}, {}) is protected; found [{}, {})", r.begin, r.end,
                            drop.begin, drop.end);
}

}  // namespace

int64_t shift_limit(const KvCache& cache) {
  int64_t limit = cache.logical_length() - 1;
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
    const LayerCache& layer = cache.layer(l);
    if (layer.kind.type == LayerKind::Type::ring && layer.tail.length > 0)
      limit = std::min(limit, layer.tail.first_position);
    const LayerStream& s = layer.stream;
    if (s.active())
      limit = std::min(limit, cache.logical_length() - (s.length - std::min(s.length, s.sinks)));
  }
  return std::max<int64_t>(limit, 0);
}

void cache_shift(const Model& model, KvCache& cache, PositionRange drop) {
  c10::NoGradGuard guard;
  check(model, cache, drop);
  KvCache out = model.new_cache();
  if (cache.head_pattern() != nullptr) {
    out.set_head_pattern(*cache.head_pattern());
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (cache.layer(l).stream.active())
        out.adopt_stream(l, moved_stream(model, l, cache.layer(l).stream, -drop.size()));
  }
  for (const SegmentInfo& info : parts_of(cache))
    for (const PositionRange& kept : {PositionRange{info.begin, std::min(info.end, drop.begin)},
                                      PositionRange{std::max(info.begin, drop.end), info.end}})
      if (kept.size() > 0) append_part(model, out, cache, info, kept);
  std::vector<PositionRange> ranges = cache.protected_ranges();
  for (PositionRange& r : ranges)
    if (r.begin >= drop.end) r = {r.begin - drop.size(), r.end - drop.size()};
  out.set_protected_ranges(std::move(ranges));
  out.adopt_meter(cache);
  cache = std::move(out);
}

}  // namespace limbeck
