#include "limbeck/eval/document_cache.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/contest.h"
#include "limbeck/compact/quality/text_loss.h"
#include "limbeck/compact/queries/self_study.h"
#include "limbeck/compact/span_surgery.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

/// The cache as if the span had never been read. Sliding layers hold what they have seen last: what
/// precedes the span is read again, and their windows are empty behind it.
KvCache without_span(const Model& model, const KvCache& cache, PositionRange span) {
  SegmentInfo info;
  info.begin = span.begin;
  info.end = span.end;
  info.state = SpanState::dropped;
  info.requested_ratio = info.achieved_ratio = 0.0;
  const auto layers = static_cast<size_t>(cache.shape().layer_count());
  const std::vector<LayerSegmentPtr> nothing(
      layers, std::make_shared<LayerSegment>(segment_empty(cache.shape())));
  if (cache.shape().full_layer_count() == cache.shape().layer_count()) {
    KvCache out = cache.clone();
    replace_span(out, span, info, nothing);
    return out;
  }
  KvCache out = model.new_cache();
  out.keep_timeline();
  const std::span<const int32_t> tokens(cache.tokens());
  if (span.begin > 0) prefill(model, out, tokens.first(span.begin));
  out.append_segment(info, nothing, tokens.subspan(span.begin, span.size()),
                     std::vector<LayerTail>(layers));
  return out;
}

bool in_span(const SegmentInfo& segment, PositionRange span) {
  return segment.begin >= span.begin && segment.end <= span.end;
}

}  // namespace

namespace {

/// Entries of the span that a streaming head of the layer holds.
int64_t stream_entries(const KvCache& cache, int64_t layer, PositionRange span) {
  const LayerStream& stream = cache.layer(layer).stream;
  if (!stream.active()) return 0;
  const std::vector<int64_t> positions = stream_positions(stream, cache.logical_length());
  return std::count_if(positions.begin(), positions.end(),
                       [&](int64_t p) { return span.contains(p); });
}

}  // namespace

int64_t bytes_of_span(const KvCache& cache, PositionRange span) {
  int64_t bytes = 0;
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
    bytes += static_cast<int64_t>(cache.layer(l).stream.heads.size()) *
             stream_entries(cache, l, span) * cache.shape().slot_bytes();
  for (size_t s = 0; s < cache.segments().size(); ++s) {
    if (!in_span(cache.segments()[s], span)) continue;
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
      if (cache.layer(l).kind.type != LayerKind::Type::full) continue;
      const LayerSegment& segment = *cache.layer(l).segments[s];
      bytes += segment.slots() * cache.shape().slot_bytes();
      if (segment.bias.defined()) bytes += static_cast<int64_t>(segment.bias.nbytes());
    }
  }
  return bytes;
}

DocumentCache::DocumentCache(const LanguageModel& lm, const ChatFrame& frame,
                             std::span<const int32_t> prefix, std::span<const int32_t> span,
                             int64_t seed)
    : lm_(lm), frame_(frame), full_(lm.model.new_cache()) {
  full_.keep_timeline();
  span_.begin = static_cast<int64_t>(prefix.size());
  span_.end = span_.begin + static_cast<int64_t>(span.size());
  options_.span = span_;
  options_.repeat = repeat_prompt(lm, frame);
  options_.seed = seed;
  PrefillOptions prefill_options;
  prefill_options.logits = LogitsWanted::none;
  Stopwatch watch;
  // Two calls, so that the span is a segment of its own.
  if (!prefix.empty()) {
    prefill(lm.model, full_, prefix, prefill_options);
    full_.seal();
  }
  TextLossMeter loss(lm.model, span, span_.begin, span_);
  prefill_options.on_hidden = loss.listener();
  prefill_options.logits = LogitsWanted::last;
  last_logits_ = prefill(lm.model, full_, span, prefill_options);
  text_loss_ = loss.result().nll;
  full_.seal();
  shared_.emplace_back("prefill", watch.seconds());
}

DocumentCache::DocumentCache(const DocumentCache& text, std::span<const int32_t> tokens)
    : lm_(text.lm_),
      span_(text.span_),
      frame_(text.frame_),
      options_(text.options_),
      full_(text.full_.clone()),
      shared_(text.shared_),
      text_loss_(text.text_loss_) {
  span_.end += static_cast<int64_t>(tokens.size());
  options_.span = span_;
  options_.query_aware = true;
  Stopwatch watch;
  last_logits_ = prefill(lm_.model, full_, tokens);
  full_.seal();
  shared_.emplace_back("prefill", watch.seconds());
}

DocumentCache DocumentCache::extended(std::span<const int32_t> tokens) const {
  return {*this, tokens};
}

CompactedDocument DocumentCache::compacted(const EvalUnit& unit) {
  CompactedDocument out{full_.clone(), 1.0, shared_, {}, {}, {}, {}};
  if (unit.method != nullptr && !unit.method->heads.empty()) {
    read_streaming(unit, out);
  } else if (unit.method != nullptr) {
    compact_with(unit, out);
  } else if (unit.label == kNoneLabel) {
    out.cache = without_span(lm_.model, full_, span_);
    out.kept = 0.0;
  }
  count_heads(out);
  return out;
}

const DocumentCache::SelfStudied& DocumentCache::self_studied() {
  if (self_studied_) return *self_studied_;
  SelfStudyOptions study;
  study.seed = options_.seed;
  Stopwatch watch;
  self_studied_ = {self_study(lm_, full_, span_, frame_, study).suffixes, 0.0};
  self_studied_->seconds = watch.seconds();
  return *self_studied_;
}

const DocumentCache::Captured& DocumentCache::captured(const MethodEntry& method) {
  const CompactOptions& m = method.options;
  const QueryKind kind{m.sources.value_or(find_preset(m.method).queries), method.self_study,
                       m.prefill_queries, m.sampled_tokens, m.sampled_weight};
  for (const Captured& c : captured_)
    if (c.kind == kind) return c;
  CompactOptions o = options_;
  o.sources = kind.sources;
  o.prefill_queries = kind.prefill;
  o.sampled_tokens = kind.sampled_tokens;
  o.sampled_weight = kind.sampled_weight;
  double seconds = 0;
  if (kind.self_study) {
    o.references = self_studied().suffixes;
    seconds = self_studied().seconds;
  }
  Stopwatch watch;
  captured_.push_back({kind, capture_queries(lm_.model, full_, o), 0.0});
  captured_.back().seconds = seconds + watch.seconds();
  return captured_.back();
}

void DocumentCache::read_streaming(const EvalUnit& unit, CompactedDocument& out) {
  const MethodEntry& m = *unit.method;
  const HeadPattern pattern = method_pattern(m, span_.size(), unit.ratio);
  out.cache = lm_.model.new_cache();
  out.cache.keep_timeline();
  out.cache.set_head_pattern(pattern);
  PrefillOptions o;
  o.logits = LogitsWanted::none;
  Stopwatch watch;
  const std::span<const int32_t> tokens(full_.tokens());
  if (span_.begin > 0) {
    prefill(lm_.model, out.cache, tokens.first(span_.begin), o);
    out.cache.seal();
  }
  prefill(lm_.model, out.cache, tokens.subspan(span_.begin, span_.size()), o);
  out.cache.seal();
  out.shared = {{"prefill", watch.seconds()}};
  int64_t streams = 0, heads = 0, streamed = 0;
  for (int64_t l = 0; l < out.cache.shape().layer_count(); ++l) {
    if (out.cache.layer(l).kind.type != LayerKind::Type::full) continue;
    const auto count = static_cast<int64_t>(out.cache.layer(l).stream.heads.size());
    heads += out.cache.shape().kv_heads;
    streams += count;
    streamed += count * stream_entries(out.cache, l, span_);
  }
  const auto n = static_cast<double>(span_.size());
  double open = static_cast<double>((heads - streams) * span_.size());
  if (!m.streaming_only && streams < heads) {
    // The other heads keep what is left of the ratio.
    const double left = unit.ratio * static_cast<double>(heads) * n - static_cast<double>(streamed);
    if (left < static_cast<double>(heads - streams))
      throw InvalidArgument(
          "[eval] method {}: {} streaming heads hold more than {} of the entries; lower the "
          "sparsity",
          m.label, streams, unit.ratio);
    CompactOptions c = m.options;
    c.span = options_.span;
    c.repeat = options_.repeat;
    c.seed = options_.seed;
    c.ratio = std::min(1.0, left / open);
    if (m.self_study) c.references = self_studied().suffixes;
    const CompactReport report = compact(lm_.model, out.cache, c);
    out.compaction = report.seconds;
    out.statistics = report.statistics;
    out.notes = report.notes;
    open = static_cast<double>(report.entries_after);
  }
  out.statistics["streaming_heads"] = pattern.sparsity();
  out.kept = (open + static_cast<double>(streamed)) / (static_cast<double>(heads) * n);
}

void DocumentCache::compact_with(const EvalUnit& unit, CompactedDocument& out) {
  CompactOptions o = unit.method->options;
  o.span = options_.span;
  o.repeat = options_.repeat;
  o.seed = options_.seed;
  o.query_aware = options_.query_aware;
  // Also for passes beside those that are shared: on-policy fits, polish, compacting again.
  if (unit.method->self_study) o.references = self_studied().suffixes;
  std::vector<double> targets = unit.method->after;
  targets.push_back(unit.ratio);
  for (size_t i = 0; i < targets.size(); ++i) {
    o.ratio = i == 0 ? targets[0] : targets[i] / targets[i - 1];
    // On-policy fits and pieces make their own; a compact cache causes others than the full one.
    o.queries = nullptr;
    // A cache with a question in it serves one unit: nobody would take over what it leaves.
    o.scores = i == 0 && !o.query_aware ? &scores_ : nullptr;
    const bool learns = method_needs_queries(o) || o.polish > 0;
    if (i == 0 && learns && !o.on_policy && o.chunk == 0) {
      const Captured& c = captured(*unit.method);
      o.queries = &c.queries;
      out.shared.emplace_back("queries", c.seconds);
    } else if (i == 0 && unit.method->self_study) {
      out.shared.emplace_back("queries", self_studied().seconds);
    }
    const CompactReport report = compact(lm_.model, out.cache, o);
    out.kept *= report.achieved_ratio;
    out.compaction.insert(out.compaction.end(), report.seconds.begin(), report.seconds.end());
    out.statistics = report.statistics;
    out.notes.insert(out.notes.end(), report.notes.begin(), report.notes.end());
  }
}

void DocumentCache::count_heads(CompactedDocument& out) const {
  for (int64_t l = 0; l < out.cache.shape().layer_count(); ++l) {
    if (out.cache.layer(l).kind.type != LayerKind::Type::full) continue;
    for (int64_t h = 0; h < out.cache.shape().kv_heads; ++h) {
      int64_t held = 0;
      if (stream_has(out.cache.layer(l).stream, h)) held = stream_entries(out.cache, l, span_);
      for (size_t s = 0; s < out.cache.segments().size(); ++s)
        if (in_span(out.cache.segments()[s], span_))
          held += out.cache.layer(l).segments[s]->slots(h);
      out.heads.push_back(held);
    }
  }
}

}  // namespace limbeck
