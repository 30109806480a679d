#include "limbeck/model/layerwise.h"

#include "limbeck/base/error.h"
#include "limbeck/model/forward_pass.h"

#include <c10/core/GradMode.h>

namespace limbeck {
namespace {

/// A cache that holds layer l of `context` and nothing else; segments are shared, a tail is copied.
KvCache layer_alone(const KvCache& context, int64_t l, std::vector<LayerSegmentPtr> segments) {
  const LayerCache& layer = context.layer(l);
  CacheShape shape = context.shape();
  shape.layers = {layer.kind};
  KvCache out(shape);
  const int64_t length = context.logical_length();
  if (length == 0) return out;
  out.adopt_stream(0, layer.stream);
  SegmentInfo info;
  info.begin = 0;
  info.end = length;
  info.state = SpanState::compacted;
  LayerSegmentPtr whole;
  std::vector<LayerTail> rings(1);
  if (layer.kind.type == LayerKind::Type::ring) {
    rings[0] = layer.tail;
    rings[0].keys = layer.tail.keys.defined() ? layer.tail.keys.clone() : at::Tensor();
    rings[0].values = layer.tail.values.defined() ? layer.tail.values.clone() : at::Tensor();
  } else if (segments.empty()) {
    whole = std::make_shared<LayerSegment>(cache_gather(context, l, {0, length}));
  } else {
    whole = segments.size() == 1 ? segments.front()
                                 : std::make_shared<LayerSegment>(segment_concat(segments));
  }
  out.append_segment(info, {whole}, context.tokens(), std::move(rings));
  return out;
}

/// The rows of one suffix: blocks that follow each other.
using Suffix = std::vector<std::unique_ptr<ForwardPass>>;

}  // namespace

void forward_layerwise(const Model& model, const KvCache& context,
                       std::span<const std::vector<int32_t>> suffixes,
                       const LayerwiseVisitor& visitor, const LayerwiseOptions& options) {
  c10::NoGradGuard guard;
  if (options.block < 1)
    throw InvalidArgument("[layerwise] block must be at least 1; found {}", options.block);
  ForwardOptions forward;
  forward.logits = LogitsWanted::none;
  const at::ScalarType type = to_scalar_type(model.dtype());
  std::vector<Suffix> rows(suffixes.size());
  for (size_t s = 0; s < suffixes.size(); ++s) {
    model.check_feed(context, suffixes[s]);
    const auto n = static_cast<int64_t>(suffixes[s].size());
    for (int64_t at = 0; at < n; at += options.block) {
      const auto size = static_cast<size_t>(std::min(options.block, n - at));
      const Feed feed{nullptr, std::span<const int32_t>(suffixes[s]).subspan(at, size), nullptr};
      rows[s].push_back(std::make_unique<ForwardPass>(model, std::span(&feed, 1), forward));
      const int64_t first = context.logical_length() + at;
      rows[s].back()->begin({&first, 1});
    }
  }
  for (int64_t l = 0; l < model.spec().layer_count(); ++l) {
    LayerwiseRows seen{l, {}, {}};
    // Keys and values wait in the blocks; they join the layer's cache when the block attends.
    for (Suffix& s : rows) {
      std::vector<at::Tensor> q, k;
      for (auto& block : s) {
        block->project_apart(l);
        // A last block of few rows computes in f32.
        q.push_back(block->splits()[0].q.to(type));
        k.push_back(block->splits()[0].k.to(type));
      }
      seen.queries.push_back(q.size() == 1 ? q[0] : at::cat(q, 1));
      seen.keys.push_back(k.size() == 1 ? k[0] : at::cat(k, 1));
    }
    std::vector<LayerSegmentPtr> instead = visitor(seen);
    const KvCache alone = layer_alone(context, l, std::move(instead));
    for (Suffix& s : rows) {
      KvCache cache = alone.clone();
      for (auto& block : s) block->attend_apart(l, cache);
    }
    report_progress(options.progress, {options.stage, "layers", l + 1, model.spec().layer_count()});
  }
}

}  // namespace limbeck
