#include "limbeck/eval/context_eval.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

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

}  // namespace

ContextEval::ContextEval(const LanguageModel& lm, const NeedleContext& context,
                         const ChatFrame& frame, int64_t seed)
    : lm_(lm), context_(context), document_(lm, frame, context.prefix, context.span, seed) {
  KvCache copy = document_.full().clone();
  reference_ = predict(copy);
}

EvalRow ContextEval::run(const EvalUnit& unit) {
  CompactedDocument d = document_.compacted(unit);
  EvalRow row;
  row.fingerprint = unit.fingerprint;
  row.source = context_.source;
  row.offset = context_.offset;
  row.text_loss = document_.text_loss();
  row.chunk = PrefillOptions{}.chunk;
  row.kept = d.kept;
  row.shared = std::move(d.shared);
  row.compaction = std::move(d.compaction);
  row.statistics = std::move(d.statistics);
  row.notes = std::move(d.notes);
  row.bytes = d.cache.bytes().total();
  row.span_bytes = bytes_of_span(d.cache, document_.span());
  compare(unit.label == kFullLabel ? reference_ : predict(d.cache), row);
  ask(d.cache, row);
  return row;
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
