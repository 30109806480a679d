#include "limbeck/eval/run/document_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/fidelity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

/// Answers longer than this are compared on their beginning: [tokens, vocabulary] f32 is held.
constexpr size_t kComparedTokens = 128;

double seconds_of(const StageSeconds& stages, std::string_view name) {
  double sum = 0;
  for (const auto& [stage, seconds] : stages)
    if (stage == name) sum += seconds;
  return sum;
}

void set_budgets(const std::vector<int64_t>& heads, int64_t document, SampleRow& row) {
  if (heads.empty()) return;
  const auto [least, most] = std::minmax_element(heads.begin(), heads.end());
  row.kept_min = *least;
  row.kept_max = *most;
  row.kept = static_cast<double>(std::accumulate(heads.begin(), heads.end(), int64_t{0})) /
             static_cast<double>(heads.size());
  row.kept_ratio = row.kept / static_cast<double>(std::max<int64_t>(1, document));
}

}  // namespace

DocumentEval::DocumentEval(const LanguageModel& lm, const Task& task, const TaskPrompt& prompt,
                           const TaskDocument& document, int64_t seed)
    : lm_(lm), task_(task), prompt_(prompt), document_(document) {
  int64_t behind = 0;
  for (const TaskQuestion& q : document.questions) {
    references_.push_back({prompt.question(q.text, q.answer_prefix), {}, {}});
    behind = std::max(behind, static_cast<int64_t>(references_.back().prompt.size()));
  }
  const int64_t room = lm.model.spec().context_length - behind - task.info().max_new -
                       static_cast<int64_t>(prompt.before().size());
  const std::vector<int32_t> ids =
      prompt.fit(prompt.document(document.text), room, task.info().truncation, truncated_);
  document_tokens_ = static_cast<int64_t>(ids.size());
  cache_.emplace(lm, prompt.frame(), prompt.before(), ids, seed);
  full_bytes_ = cache_->full().bytes().total();
  if (task.info().answer != AnswerKind::generate) return;
  KvCache full = cache_->full().clone();
  for (size_t i = 0; i < references_.size(); ++i) {
    Reference& r = references_[i];
    r.answer = answer(full, document.questions[i], r.prompt).tokens;
    if (r.answer.size() > kComparedTokens) r.answer.resize(kComparedTokens);
    if (!r.answer.empty()) r.log_probs = scored_log_probs(lm.model, full, r.prompt, r.answer);
  }
}

SampleUnit DocumentEval::run(const EvalUnit& unit) {
  CompactedDocument compacted = cache_->compacted(unit);
  SampleUnit out;
  const CacheShape& shape = compacted.cache.shape();
  out.heads = {task_.info().name, document_.id,   unit.label,
               document_.length,  unit.ratio,     shape.full_layer_count(),
               shape.kv_heads,    compacted.heads};
  const SampleRow shared = row_of(unit, compacted);
  for (size_t i = 0; i < document_.questions.size(); ++i) {
    const TaskQuestion& q = document_.questions[i];
    const Reference& reference = references_[i];
    SampleRow row = shared;
    row.q_id = q.id;
    row.outputs = q.outputs;
    row.prompt_tokens = static_cast<int64_t>(prompt_.before().size()) + document_tokens_ +
                        static_cast<int64_t>(reference.prompt.size());
    const bool generates = task_.info().answer == AnswerKind::generate;
    const Answer a = generates ? answer(compacted.cache, q, reference.prompt)
                               : choose(compacted.cache, q, reference.prompt);
    const TaskScore score = task_.score(q, a.text);
    row.prediction = a.text;
    row.finish = a.finish;
    row.generated_tokens = static_cast<int64_t>(a.tokens.size());
    row.score = score.score;
    row.parsed = score.parsed;
    row.metrics.insert(score.more.begin(), score.more.end());
    row.metrics["found"] = score.found ? 1.0 : 0.0;
    row.footprint = a.footprint.footprint;
    row.footprint_total = a.footprint.footprint_total;
    row.footprint_after = a.footprint.footprint_after;
    row.peak = a.footprint.peak;
    row.kv_bytes_peak = a.footprint.kv_bytes_peak;
    row.seconds.insert(row.seconds.end(), a.seconds.begin(), a.seconds.end());
    if (generates) compare(compacted.cache, reference, row);
    out.rows.push_back(std::move(row));
  }
  return out;
}

SampleRow DocumentEval::row_of(const EvalUnit& unit, const CompactedDocument& compacted) const {
  SampleRow row;
  row.task = task_.info().name;
  row.group = task_.info().group;
  row.doc_id = document_.id;
  row.ordinal = document_.ordinal;
  row.length = document_.length;
  row.method = unit.label;
  row.budget = unit.ratio;
  row.document_tokens = document_tokens_;
  row.truncated = truncated_;
  set_budgets(compacted.heads, document_tokens_, row);
  row.kv_bytes = compacted.cache.bytes().total();
  row.bytes_ratio = static_cast<double>(row.kv_bytes) / static_cast<double>(full_bytes_);
  row.seconds = compacted.shared;
  row.seconds.insert(row.seconds.end(), compacted.compaction.begin(), compacted.compaction.end());
  row.compaction_seconds = seconds_of(compacted.shared, "queries");
  for (const auto& [stage, seconds] : compacted.compaction) row.compaction_seconds += seconds;
  // Where a needle lies, for the heat map.
  if (const auto depth = document_.facts.find("depth");
      depth != document_.facts.end() && depth->is_number())
    row.metrics["depth"] = depth->get<double>();
  return row;
}

DocumentEval::Answer DocumentEval::answer(KvCache& cache, const TaskQuestion& question,
                                          const std::vector<int32_t>& prompt) const {
  const TaskInfo& info = task_.info();
  GenerateOptions o;
  o.max_tokens = info.max_new;
  o.stop = info.stop;
  // A stop string can only end an answer that has a token.
  if (info.stop_after_first) o.min_tokens = 1;
  const KvCache::Mark mark = cache.mark();
  Answer out;
  const GenerateResult r = generate(lm_, cache, prompt, o);
  out.text = r.text;
  out.finish = r.finish_reason;
  out.tokens = r.tokens;
  out.seconds = {{"question", r.prefill_seconds}, {"decode", r.decode_seconds}};
  out.footprint = cache.meter().report();
  cache.rollback(mark);
  return out;
}

DocumentEval::Answer DocumentEval::choose(KvCache& cache, const TaskQuestion& question,
                                          const std::vector<int32_t>& prompt) const {
  if (question.options.empty())
    throw InvalidArgument("[eval] {} {}: a question to choose from needs options; found none",
                          task_.info().name, document_.id);
  Stopwatch watch;
  std::vector<double> scores;
  if (task_.info().answer == AnswerKind::choose_letter) {
    const std::vector<int32_t> first = lm_.tokenizer.encode("A");
    const at::Tensor row = scored_log_probs(lm_.model, cache, prompt, std::span(first).first(1))[0];
    for (size_t i = 0; i < question.options.size(); ++i) {
      const auto letter = lm_.tokenizer.encode(std::string(1, static_cast<char>('A' + i)));
      scores.push_back(row[letter.at(0)].item<double>());
    }
  } else {
    for (const std::string& option : question.options) {
      const std::vector<int32_t> ids = lm_.tokenizer.encode(option);
      const at::Tensor rows = scored_log_probs(lm_.model, cache, prompt, ids);
      const at::Tensor index =
          at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(1);
      scores.push_back(rows.gather(1, index).mean().item<double>());
    }
  }
  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  Answer out;
  out.text = std::string(1, static_cast<char>('A' + best));
  out.finish = "chosen";
  out.seconds = {{"question", watch.seconds()}, {"decode", 0.0}};
  out.footprint = cache.meter().report();
  return out;
}

void DocumentEval::compare(KvCache& cache, const Reference& reference, SampleRow& row) const {
  if (reference.answer.empty()) return;
  const at::Tensor other = scored_log_probs(lm_.model, cache, reference.prompt, reference.answer);
  const Fidelity f = compare_log_probs(reference.log_probs, other, reference.answer);
  row.metrics["kl"] = f.kl;
  row.metrics["top1"] = f.top1;
  row.metrics["own_nll"] = f.nll_other;
}

}  // namespace limbeck
