#include "limbeck/compact/queries/own_queries.h"

#include "limbeck/model/layerwise.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

/// A cache that has the tokens and the length of the first `length` positions and no slots: the
/// visitor hands the slots out layer by layer, so that no second copy of the cache is made.
KvCache shell(const Model& model, const KvCache& cache, int64_t length) {
  KvCache out = model.new_cache();
  if (length == 0) {
    if (cache.head_pattern() != nullptr) out.set_head_pattern(*cache.head_pattern());
    return out;
  }
  const auto layers = static_cast<size_t>(cache.shape().layer_count());
  SegmentInfo info;
  info.begin = 0;
  info.end = length;
  info.state = SpanState::dropped;
  const auto nothing = std::make_shared<LayerSegment>(segment_empty(cache.shape()));
  out.append_segment(info, std::vector<LayerSegmentPtr>(layers, nothing),
                     std::span<const int32_t>(cache.tokens()).first(static_cast<size_t>(length)),
                     std::vector<LayerTail>(layers));
  return out;
}

/// First position that is read again.
int64_t first_read(const KvCache& cache, PositionRange span, int64_t rows) {
  const bool rings = cache.shape().full_layer_count() < cache.shape().layer_count();
  return rings ? 0 : span.end - std::min(rows, span.size());
}

/// What the layer holds before position `end`, entries of streaming heads included.
LayerSegment held_before(const KvCache& cache, int64_t layer, int64_t end) {
  LayerSegment others = cache_gather(cache, layer, {0, end});
  const LayerStream& stream = cache.layer(layer).stream;
  if (!stream.active() || stream.length == 0) return others;
  const std::vector<int64_t> positions = stream_positions(stream, cache.logical_length());
  std::vector<int64_t> rows;
  std::vector<int32_t> kept;
  for (size_t i = 0; i < positions.size(); ++i)
    if (positions[i] < end) {
      rows.push_back(static_cast<int64_t>(i));
      kept.push_back(static_cast<int32_t>(positions[i]));
    }
  const auto count = static_cast<int64_t>(rows.size()),
             heads = static_cast<int64_t>(stream.heads.size());
  const at::Tensor index = at::tensor(rows, at::kLong);
  LayerSegment streams = segment_empty(cache.shape());
  const auto pack = [&](const at::Tensor& x) {
    return x.index_select(1, index).reshape({heads * count, -1});
  };
  streams.keys = pack(stream.keys);
  streams.values = pack(stream.values);
  streams.positions = at::tensor(kept, at::kInt).repeat({heads});
  for (int64_t h = 0; h < cache.shape().kv_heads; ++h)
    streams.offsets[h + 1] = streams.offsets[h] + (stream_has(stream, h) ? count : 0);
  return segment_concat({std::make_shared<LayerSegment>(std::move(others)),
                         std::make_shared<LayerSegment>(std::move(streams))});
}

}  // namespace

int64_t own_rows_read(const KvCache& cache, PositionRange span, int64_t rows) {
  return span.end - first_read(cache, span, rows);
}

OwnQueries OwnQueries::last(int64_t count) const {
  const int64_t n = std::min(count, rows()), skip = rows() - n;
  return {layer, first + skip, scale, queries.narrow(1, skip, n)};
}

void for_each_own_layer(const Model& model, const KvCache& cache, PositionRange span, int64_t rows,
                        const OwnQueriesFn& fn, const ProgressFn& progress) {
  const int64_t wanted = span.end - std::min(rows, span.size());
  const int64_t start = first_read(cache, span, rows);
  const std::vector<std::vector<int32_t>> text = {
      {cache.tokens().begin() + start, cache.tokens().begin() + span.end}};
  LayerwiseOptions options;
  options.progress = progress;
  options.stage = "own queries";
  options.span = {0, start};
  forward_layerwise(
      model, shell(model, cache, start), text,
      [&](const LayerwiseRows& r) {
        LayerwiseAnswer before;
        if (cache.layer(r.layer).kind.type != LayerKind::Type::full) return before;
        fn({r.layer, wanted, model.spec().softmax_scale,
            r.queries[0].narrow(1, wanted - start, span.end - wanted)});
        if (start > 0)
          before.instead = std::make_shared<LayerSegment>(held_before(cache, r.layer, start));
        return before;
      },
      options);
}

}  // namespace limbeck
