#include "limbeck/compact/span_surgery.h"

#include "limbeck/base/error.h"

namespace limbeck {
namespace {

/// Segment number `index` of the cache cut down to `range`; the tail is number segments().size().
KvCache::NewSegment cut_segment(const KvCache& cache, size_t index, PositionRange range) {
  KvCache::NewSegment out;
  if (index < cache.segments().size()) out.info = cache.segments()[index];
  out.info.begin = range.begin;
  out.info.end = range.end;
  out.layers.resize(cache.shape().layer_count());
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
    if (cache.layer(l).kind.type == LayerKind::Type::full)
      out.layers[l] = std::make_shared<LayerSegment>(cache_gather(cache, l, range));
  return out;
}

}  // namespace

void replace_span(KvCache& cache, PositionRange span, SegmentInfo info,
                  std::vector<LayerSegmentPtr> layers) {
  struct Part {
    int64_t begin, end;
  };
  std::vector<Part> parts;
  for (const SegmentInfo& s : cache.segments()) parts.push_back({s.begin, s.end});
  parts.push_back({cache.tail_begin(), cache.logical_length()});
  int64_t first = -1, last = -1;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].begin >= span.end || parts[i].end <= span.begin) continue;
    if (first < 0) first = static_cast<int64_t>(i);
    last = static_cast<int64_t>(i) + 1;
  }
  LIMBECK_CHECK(first >= 0, "span [{}, {}) holds nothing", span.begin, span.end);
  std::vector<KvCache::NewSegment> fresh;
  if (parts[first].begin < span.begin)
    fresh.push_back(cut_segment(cache, first, {parts[first].begin, span.begin}));
  fresh.push_back({std::move(info), std::move(layers)});
  if (parts[last - 1].end > span.end)
    fresh.push_back(cut_segment(cache, last - 1, {span.end, parts[last - 1].end}));
  cache.replace_segments(first, last, std::move(fresh));
}

}  // namespace limbeck
