#include "limbeck/model/layerwise.h"

#include "limbeck/base/error.h"
#include "limbeck/model/forward_pass.h"

#include <c10/core/GradMode.h>

namespace limbeck {
namespace {

/// A cache that holds layer l of `context` without `span` and nothing else; segments are shared, a
/// ring is copied.
KvCache layer_around(const KvCache& context, int64_t l, PositionRange span) {
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
  LayerSegmentPtr rest;
  std::vector<LayerTail> rings(1);
  if (layer.kind.type == LayerKind::Type::ring) {
    rings[0] = layer.tail;
    rings[0].keys = layer.tail.keys.defined() ? layer.tail.keys.clone() : at::Tensor();
    rings[0].values = layer.tail.values.defined() ? layer.tail.values.clone() : at::Tensor();
  } else {
    std::vector<LayerSegmentPtr> parts;
    for (PositionRange r : {PositionRange{0, span.begin}, PositionRange{span.end, length}})
      if (r.size() > 0)
        parts.push_back(std::make_shared<LayerSegment>(cache_gather(context, l, r)));
    rest = parts.empty()       ? std::make_shared<LayerSegment>(segment_empty(shape))
           : parts.size() == 1 ? parts[0]
                               : std::make_shared<LayerSegment>(segment_concat(parts));
  }
  out.append_segment(info, {rest}, context.tokens(), std::move(rings));
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
  const int64_t layers = model.spec().layer_count();
  for (int64_t l = 0; l < layers; ++l) {
    // Rings, and streaming heads, forget while the rows pass: they attend to all at once.
    const LayerCache& layer = context.layer(l);
    const bool apart = layer.kind.type == LayerKind::Type::full && !layer.stream.active();
    const PositionRange span = apart ? options.span : PositionRange{};
    const KvCache around = layer_around(context, l, span);
    LayerwiseRows seen{l, {}, {}, {}};
    for (Suffix& s : rows) {
      KvCache cache = around.clone();
      std::vector<at::Tensor> q, k, lse;
      for (auto& block : s) {
        block->project_apart(l);
        // A last block of few rows computes in f32.
        q.push_back(block->splits()[0].q.to(type));
        k.push_back(block->splits()[0].k.to(type));
        lse.push_back(block->attend_apart(l, cache));
      }
      seen.queries.push_back(q.size() == 1 ? q[0] : at::cat(q, 1));
      seen.keys.push_back(k.size() == 1 ? k[0] : at::cat(k, 1));
      seen.elsewhere.push_back(lse.size() == 1 ? lse[0] : at::cat(lse, 1));
    }
    LayerwiseAnswer answer = visitor(seen);
    if (l + 1 == layers) break;  // nobody asks for what follows
    if (span.size() > 0 && answer.seen.empty()) {
      if (answer.instead == nullptr)
        answer.instead = std::make_shared<LayerSegment>(cache_gather(context, l, span));
      for (const at::Tensor& q : seen.queries)
        answer.seen.push_back(
            attention_over(*answer.instead, q.contiguous(), model.spec().softmax_scale));
    }
    for (size_t s = 0; s < rows.size(); ++s) {
      int64_t first = 0;
      for (auto& block : rows[s]) {
        const int64_t n = block->splits()[0].q.size(1);
        if (answer.seen.empty()) {
          block->complete_apart(l, nullptr);
        } else {
          const AttentionPart part{answer.seen[s].out.narrow(1, first, n),
                                   answer.seen[s].lse.narrow(1, first, n)};
          block->complete_apart(l, &part);
        }
        first += n;
      }
    }
    report_progress(options.progress, {options.stage, "layers", l + 1, layers});
  }
  report_progress(options.progress, {options.stage, "layers", layers, layers});
}

}  // namespace limbeck
