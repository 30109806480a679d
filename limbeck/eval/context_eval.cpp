#include "limbeck/eval/context_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/quality/text_loss.h"
#include "limbeck/compact/queries/self_study.h"
#include "limbeck/compact/span_surgery.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

/// Keys, values and biases of the segments that lie in the span.
int64_t bytes_of_span(const KvCache& cache, PositionRange span) {
  int64_t bytes = 0;
  for (size_t s = 0; s < cache.segments().size(); ++s) {
    if (cache.segments()[s].begin < span.begin || cache.segments()[s].end > span.end) continue;
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
      if (cache.layer(l).kind.type != LayerKind::Type::full) continue;
      const LayerSegment& segment = *cache.layer(l).segments[s];
      bytes += segment.slots() * cache.shape().slot_bytes();
      if (segment.bias.defined()) bytes += static_cast<int64_t>(segment.bias.nbytes());
    }
  }
  return bytes;
}

/// Means over the questions.
void set_footprint(const std::vector<FootprintReport>& reports, EvalRow& row) {
  if (reports.empty()) return;
  row.footprint = row.footprint_total = row.footprint_after = row.peak = 0;
  const auto n = static_cast<double>(reports.size());
  for (const FootprintReport& r : reports) {
    row.footprint += r.footprint / n;
    row.footprint_total += r.footprint_total / n;
    row.footprint_after += r.footprint_after / n;
    row.peak += r.peak / n;
    row.bytes_peak = std::max(row.bytes_peak, r.kv_bytes_peak);
  }
}

void drop_span(KvCache& cache, PositionRange span) {
  SegmentInfo info;
  info.begin = span.begin;
  info.end = span.end;
  info.state = SpanState::dropped;
  info.requested_ratio = info.achieved_ratio = 0.0;
  std::vector<LayerSegmentPtr> layers(cache.shape().layer_count());
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
    if (cache.layer(l).kind.type == LayerKind::Type::full)
      layers[l] = std::make_shared<LayerSegment>(segment_empty(cache.shape()));
  replace_span(cache, span, std::move(info), std::move(layers));
}

}  // namespace

ContextEval::ContextEval(const LanguageModel& lm, const NeedleContext& context,
                         const ChatFrame& frame, int64_t seed)
    : lm_(lm), context_(context), frame_(frame), full_(lm.model.new_cache()) {
  span_.begin = static_cast<int64_t>(context.prefix.size());
  span_.end = span_.begin + static_cast<int64_t>(context.span.size());
  options_.span = span_;
  options_.repeat = repeat_prompt(lm, frame);
  options_.seed = seed;
  PrefillOptions prefill_options;
  prefill_options.logits = LogitsWanted::none;
  Stopwatch watch;
  // Two calls, so that the span is a segment of its own.
  prefill(lm.model, full_, context.prefix, prefill_options);
  full_.seal();
  TextLossMeter loss(lm.model, context.span, span_.begin, span_);
  prefill_options.on_hidden = loss.listener();
  prefill(lm.model, full_, context.span, prefill_options);
  text_loss_ = loss.result().nll;
  full_.seal();
  shared_.emplace_back("prefill", watch.seconds());
  KvCache copy = full_.clone();
  reference_ = predict(copy);
}

EvalRow ContextEval::run(const EvalUnit& unit) {
  EvalRow row;
  row.fingerprint = unit.fingerprint;
  row.source = context_.source;
  row.offset = context_.offset;
  row.shared = shared_;
  row.text_loss = text_loss_;
  row.chunk = PrefillOptions{}.chunk;
  KvCache cache = full_.clone();
  if (unit.method != nullptr)
    compact_with(unit, cache, row);
  else if (unit.label == kNoneLabel)
    drop_span(cache, span_);
  if (unit.label == kNoneLabel) row.kept = 0.0;
  row.bytes = cache.bytes().total();
  row.span_bytes = bytes_of_span(cache, span_);
  compare(unit.label == kFullLabel ? reference_ : predict(cache), row);
  ask(cache, row);
  return row;
}

const ContextEval::Captured& ContextEval::captured(const MethodEntry& method) {
  const QuerySources from =
      method.options.sources.value_or(find_preset(method.options.method).queries);
  for (const Captured& c : captured_)
    if (c.sources == from && c.self_study == method.self_study) return c;
  CompactOptions o = options_;
  o.sources = from;
  Stopwatch watch;
  if (method.self_study) {
    SelfStudyOptions study;
    study.seed = o.seed;
    o.references = self_study(lm_, full_, span_, frame_, study).suffixes;
  }
  captured_.push_back({from, method.self_study, capture_queries(lm_.model, full_, o), 0.0});
  captured_.back().seconds = watch.seconds();
  return captured_.back();
}

void ContextEval::compact_with(const EvalUnit& unit, KvCache& cache, EvalRow& row) {
  CompactOptions o = unit.method->options;
  o.span = options_.span;
  o.repeat = options_.repeat;
  o.seed = options_.seed;
  std::vector<double> targets = unit.method->after;
  targets.push_back(unit.ratio);
  row.kept = 1.0;
  for (size_t i = 0; i < targets.size(); ++i) {
    o.ratio = i == 0 ? targets[0] : targets[i] / targets[i - 1];
    // On-policy fits make their own; a compact cache causes others than the full one.
    o.queries = nullptr;
    if (i == 0 && !o.on_policy) {
      const Captured& c = captured(*unit.method);
      o.queries = &c.queries;
      row.shared.emplace_back("queries", c.seconds);
    }
    const CompactReport report = compact(lm_.model, cache, o);
    row.kept *= report.achieved_ratio;
    row.compaction.insert(row.compaction.end(), report.seconds.begin(), report.seconds.end());
    row.statistics = report.statistics;
    row.notes.insert(row.notes.end(), report.notes.begin(), report.notes.end());
  }
}

ContextEval::Predictions ContextEval::predict(KvCache& cache) const {
  Predictions p;
  for (const NeedleQuestion& q : context_.questions)
    p.answers.push_back(scored_log_probs(lm_.model, cache, q.prompt, q.gold));
  p.continuation = scored_log_probs(lm_.model, cache, {}, context_.continuation);
  return p;
}

void ContextEval::compare(const Predictions& p, EvalRow& row) const {
  std::vector<Fidelity> parts;
  for (size_t i = 0; i < p.answers.size(); ++i)
    parts.push_back(
        compare_log_probs(reference_.answers[i], p.answers[i], context_.questions[i].gold));
  row.answers = mean_fidelity(parts);
  // The first token was predicted before compaction.
  row.continuation = compare_log_probs(reference_.continuation, p.continuation,
                                       std::span<const int32_t>(context_.continuation).subspan(1));
}

void ContextEval::ask(KvCache& cache, EvalRow& row) const {
  GenerateOptions o;
  o.max_tokens = kAnswerTokens;
  std::vector<FootprintReport> reports;
  for (const NeedleQuestion& q : context_.questions) {
    const KvCache::Mark mark = cache.mark();
    row.outputs.push_back(generate(lm_, cache, q.prompt, o).text);
    reports.push_back(cache.meter().report());
    cache.rollback(mark);
    ++row.needles;
    if (row.outputs.back().find(q.digits) != std::string::npos) ++row.needles_right;
  }
  set_footprint(reports, row);
}

int64_t ContextEval::tokens_needed(const NeedleContext& context) {
  auto behind = static_cast<int64_t>(context.continuation.size());
  for (const NeedleQuestion& q : context.questions)
    behind = std::max(behind, static_cast<int64_t>(q.prompt.size()) +
                                  std::max(static_cast<int64_t>(q.gold.size()), kAnswerTokens));
  return static_cast<int64_t>(context.prefix.size() + context.span.size()) + behind;
}

}  // namespace limbeck
