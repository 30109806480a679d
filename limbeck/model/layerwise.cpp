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
  out.adopt_stream(0, layer.stream);
  if (length == 0) return out;
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

/// Rows that pass through a layer together: a block of one long suffix, or several short suffixes.
struct Pass {
  struct Part {
    size_t suffix = 0;
    int64_t first = 0, rows = 0;  ///< of the suffix
  };
  std::vector<Part> parts;
  std::unique_ptr<ForwardPass> forward;
};

/// Passes of at most `block` rows, in the order of the suffixes.
std::vector<Pass> passes_of(const Model& model, const KvCache& context,
                            std::span<const std::vector<int32_t>> suffixes, int64_t block) {
  std::vector<Pass> out;
  int64_t room = 0;
  for (size_t s = 0; s < suffixes.size(); ++s) {
    const auto n = static_cast<int64_t>(suffixes[s].size());
    for (int64_t at = 0; at < n; at += block) {
      const int64_t rows = std::min(block, n - at);
      // A suffix of several blocks reads its own earlier ones: they must have passed before.
      if (n > block || rows > room) {
        out.emplace_back();
        room = n > block ? 0 : block;
      }
      out.back().parts.push_back({s, at, rows});
      room = std::max<int64_t>(0, room - rows);
    }
  }
  ForwardOptions forward;
  forward.logits = LogitsWanted::none;
  for (Pass& pass : out) {
    std::vector<Feed> feeds;
    std::vector<int64_t> first;
    for (const Pass::Part& p : pass.parts) {
      const auto tokens = std::span<const int32_t>(suffixes[p.suffix]);
      feeds.push_back({nullptr,
                       tokens.subspan(static_cast<size_t>(p.first), static_cast<size_t>(p.rows)),
                       nullptr});
      first.push_back(context.logical_length() + p.first);
    }
    pass.forward = std::make_unique<ForwardPass>(model, feeds, forward);
    pass.forward->begin(first);
  }
  return out;
}

}  // namespace

void forward_layerwise(const Model& model, const KvCache& context,
                       std::span<const std::vector<int32_t>> suffixes,
                       const LayerwiseVisitor& visitor, const LayerwiseOptions& options) {
  c10::NoGradGuard guard;
  if (options.block < 1)
    throw InvalidArgument("[layerwise] block must be at least 1; found {}", options.block);
  const at::ScalarType type = to_scalar_type(model.dtype());
  for (const std::vector<int32_t>& s : suffixes) model.check_feed(context, s);
  std::vector<Pass> passes = passes_of(model, context, suffixes, options.block);
  const int64_t layers = model.spec().layer_count();
  for (int64_t l = 0; l < layers; ++l) {
    // Rings forget while the rows pass: they attend to all at once. So do streaming heads, which
    // have nothing in the span; the others of their layer see it apart.
    const bool apart = context.layer(l).kind.type == LayerKind::Type::full;
    const PositionRange span = apart ? options.span : PositionRange{};
    const KvCache around = layer_around(context, l, span);
    std::vector<std::vector<at::Tensor>> q(suffixes.size()), k(suffixes.size()),
        lse(suffixes.size());
    std::vector<KvCache> caches;  // of the pass at hand
    for (Pass& pass : passes) {
      pass.forward->project_apart(l);
      if (pass.parts[0].first == 0) {
        caches.clear();
        for (size_t i = 0; i < pass.parts.size(); ++i) caches.push_back(around.clone());
      }
      for (size_t i = 0; i < pass.parts.size(); ++i) {
        // A last block of few rows computes in f32.
        q[pass.parts[i].suffix].push_back(pass.forward->splits()[i].q.to(type));
        k[pass.parts[i].suffix].push_back(pass.forward->splits()[i].k.to(type));
      }
      const std::vector<at::Tensor> mass = pass.forward->attend_apart(l, caches);
      for (size_t i = 0; i < pass.parts.size(); ++i) lse[pass.parts[i].suffix].push_back(mass[i]);
    }
    const auto joined = [](std::vector<std::vector<at::Tensor>>& blocks) {
      std::vector<at::Tensor> out;
      for (auto& b : blocks) out.push_back(b.size() == 1 ? b[0] : at::cat(b, 1));
      return out;
    };
    const LayerwiseRows seen{l, joined(q), joined(k), joined(lse)};
    LayerwiseAnswer answer = visitor(seen);
    if (l + 1 == layers) break;  // nobody asks for what follows
    if (span.size() > 0 && answer.seen.empty()) {
      if (answer.instead == nullptr)
        answer.instead = std::make_shared<LayerSegment>(cache_gather(context, l, span));
      for (const at::Tensor& rows : seen.queries)
        answer.seen.push_back(
            attention_over(*answer.instead, rows.contiguous(), model.spec().softmax_scale));
    }
    for (Pass& pass : passes) {
      std::vector<AttentionPart> rest;
      if (!answer.seen.empty())
        for (const Pass::Part& p : pass.parts)
          rest.push_back({answer.seen[p.suffix].out.narrow(1, p.first, p.rows),
                          answer.seen[p.suffix].lse.narrow(1, p.first, p.rows)});
      pass.forward->complete_apart(l, rest);
    }
    report_progress(options.progress, {options.stage, "layers", l + 1, layers});
  }
  report_progress(options.progress, {options.stage, "layers", layers, layers});
}

}  // namespace limbeck
