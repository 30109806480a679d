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
  if (length == 0) return out;
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

}  // namespace

OwnQueries OwnQueries::last(int64_t count) const {
  const int64_t n = std::min(count, rows()), skip = rows() - n;
  return {layer, first + skip, scale, queries.narrow(1, skip, n)};
}

void for_each_own_layer(const Model& model, const KvCache& cache, PositionRange span, int64_t rows,
                        const OwnQueriesFn& fn, const ProgressFn& progress) {
  const int64_t wanted = span.end - std::min(rows, span.size());
  const bool rings = cache.shape().full_layer_count() < cache.shape().layer_count();
  const int64_t start = rings ? 0 : wanted;
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
          before.instead = std::make_shared<LayerSegment>(cache_gather(cache, r.layer, {0, start}));
        return before;
      },
      options);
}

}  // namespace limbeck
