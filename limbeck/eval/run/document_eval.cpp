#include "limbeck/eval/run/document_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/fidelity.h"
#include "limbeck/eval/lm_metrics.h"
#include "limbeck/eval/run/peak_memory.h"
#include "limbeck/io/quote.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace limbeck {
namespace {

/// Answers longer than this are compared on their beginning: [tokens, vocabulary] f32 is held.
constexpr size_t kComparedTokens = 128;

constexpr std::array<std::string_view, 3> kModeNames = {"agnostic", "aware", "in-prompt"};

double seconds_of(const StageSeconds& stages, std::string_view name) {
  double sum = 0;
  for (const auto& [stage, seconds] : stages)
    if (stage == name) sum += seconds;
  return sum;
}

void set_budgets(const std::vector<int64_t>& heads, int64_t span, SampleRow& row) {
  if (heads.empty()) return;
  const auto [least, most] = std::minmax_element(heads.begin(), heads.end());
  row.kept_min = *least;
  row.kept_max = *most;
  row.kept = static_cast<double>(std::accumulate(heads.begin(), heads.end(), int64_t{0})) /
             static_cast<double>(heads.size());
  row.kept_ratio = row.kept / static_cast<double>(std::max<int64_t>(1, span));
}

void set_footprint(const FootprintReport& from, SampleRow& row) {
  row.footprint = from.footprint;
  row.footprint_total = from.footprint_total;
  row.footprint_after = from.footprint_after;
  row.peak = from.peak;
  row.kv_bytes_peak = from.kv_bytes_peak;
}

/// Mean over the compactions of a unit, one a question, rounded.
void add_heads(const std::vector<int64_t>& heads, int64_t so_far, std::vector<int64_t>& mean) {
  if (so_far == 0) mean.assign(heads.size(), 0);
  for (size_t i = 0; i < heads.size(); ++i) mean[i] += heads[i];
}

/// Up to the first stop string behind at least `least` characters.
void cut_at_stops(const std::vector<std::string>& stops, size_t least, std::string& text) {
  size_t end = text.size();
  for (const std::string& stop : stops) end = std::min(end, text.find(stop, least));
  text.resize(std::min(end, text.size()));
}

}  // namespace

std::string_view eval_mode_name(EvalMode mode) { return kModeNames[static_cast<size_t>(mode)]; }

EvalMode parse_eval_mode(std::string_view name) {
  const auto at = std::find(kModeNames.begin(), kModeNames.end(), name);
  if (at == kModeNames.end())
    throw InvalidArgument("[eval] mode must be one of {}; found {}", fmt::join(kModeNames, ", "),
                          quote(name));
  return static_cast<EvalMode>(at - kModeNames.begin());
}

void check_mode(const TaskInfo& info, EvalMode mode) {
  if (mode != EvalMode::agnostic && info.answer == AnswerKind::continue_text)
    throw InvalidArgument("[eval] {} asks nothing, so that its mode must be agnostic; found {}",
                          info.name, eval_mode_name(mode));
  if (mode == EvalMode::in_prompt && info.answer != AnswerKind::generate)
    throw InvalidArgument("[eval] mode in-prompt needs answers that are generated; {} chooses",
                          info.name);
}

DocumentEval::DocumentEval(const LanguageModel& lm, const Task& task, const TaskPrompt& prompt,
                           const TaskDocument& document, const DocumentSettings& settings)
    : lm_(lm), task_(task), prompt_(prompt), document_(document), settings_(settings) {
  const TaskInfo& info = task.info();
  check_mode(info, settings.mode);
  for (const TaskQuestion& q : document.questions)
    references_.push_back({prompt.question(q.text, q.answer_prefix), {}, {}});
  cut(document);
  cache_.emplace(lm, prompt.frame(), prompt.before(), ids_, settings.seed);
  if (info.answer != AnswerKind::generate || settings.mode == EvalMode::in_prompt) return;
  for (size_t i = 0; i < references_.size(); ++i) {
    Reference& r = references_[i];
    const std::vector<int32_t> more = known(i);
    KvCache full = more.empty() ? cache_->full().clone() : cache_->extended(more).full().clone();
    KvCache* const only = &full;
    r.answer = answers({&only, 1}, r.prompt).front().tokens;
    if (r.answer.size() > kComparedTokens) r.answer.resize(kComparedTokens);
    if (!r.answer.empty()) r.log_probs = scored_log_probs(lm.model, full, r.prompt, r.answer);
  }
}

/// The document's ids as the window has room for them.
void DocumentEval::cut(const TaskDocument& document) {
  const TaskInfo& info = task_.info();
  const int64_t model_window = lm_.model.spec().context_length;
  const int64_t window =
      settings_.window > 0 ? std::min(settings_.window, model_window) : model_window;
  const auto before = static_cast<int64_t>(prompt_.before().size());
  ids_ = prompt_.document(document.text);
  if (info.answer == AnswerKind::continue_text) {
    const auto wanted = static_cast<size_t>(document.length + info.max_new);
    if (ids_.size() < wanted || static_cast<int64_t>(wanted) + before > window)
      throw InvalidArgument("[eval] {} needs {} tokens of text within {}; found {}", document.id,
                            wanted, window - before, ids_.size());
    continuation_.assign(ids_.begin() + document.length,
                         ids_.begin() + static_cast<int64_t>(wanted));
    ids_.resize(static_cast<size_t>(document.length));
    return;
  }
  int64_t behind = 0;
  for (size_t i = 0; i < references_.size(); ++i)
    behind = std::max(
        behind,
        static_cast<int64_t>(references_[i].prompt.size() +
                             (settings_.mode == EvalMode::aware ? known(i).size() : size_t{0})));
  // What a task cannot fit to the length that it was asked for is cut to it.
  const int64_t most = info.sized && document.length > 0 && info.truncation != Truncation::none
                           ? std::min(window, document.length)
                           : window;
  ids_ = prompt_.fit(std::move(ids_), most - behind - info.max_new - before, info.truncation,
                     truncated_);
}

std::vector<int32_t> DocumentEval::known(size_t question) const {
  if (settings_.mode == EvalMode::in_prompt) return references_[question].prompt;
  if (settings_.mode == EvalMode::aware)
    return prompt_.document(document_.questions[question].text);
  return {};
}

DocumentEval::Compacted DocumentEval::compacted(const EvalUnit& unit, size_t question) {
  const std::vector<int32_t> more = known(question);
  const auto make = [&](DocumentCache& from) {
    return Compacted{from.compacted(unit), from.span().end - from.span().begin,
                     from.full().bytes().total(), from.last_logits()};
  };
  if (more.empty()) return make(*cache_);
  DocumentCache with_question = cache_->extended(more);
  return make(with_question);
}

void set_facts(const TaskDocument& document, SampleRow& row) {
  for (const char* name : {"depth", "x"})
    if (const auto fact = document.facts.find(name);
        fact != document.facts.end() && fact->is_number())
      row.metrics[name] = fact->get<double>();
}

SampleUnit DocumentEval::run(const EvalUnit& unit) {
  const EvalUnit* const only = &unit;
  Outcome out = std::move(run(std::span(&only, 1)).front());
  if (out.error) std::rethrow_exception(out.error);
  return std::move(*out.unit);
}

std::vector<DocumentEval::Outcome> DocumentEval::run(std::span<const EvalUnit* const> units) {
  std::vector<Outcome> out(units.size());
  if (decodes_together()) {
    run_together(units, out);
    return out;
  }
  for (size_t i = 0; i < units.size(); ++i) try {
      out[i].unit = run_alone(*units[i]);
    } catch (...) {
      out[i].error = std::current_exception();
      if (ends_run(out[i].error)) break;
    }
  return out;
}

bool DocumentEval::ends_run(const std::exception_ptr& error) const {
  return settings_.ends_run && settings_.ends_run(error);
}

bool DocumentEval::decodes_together() const {
  return settings_.mode == EvalMode::agnostic && task_.info().answer == AnswerKind::generate;
}

void DocumentEval::run_together(std::span<const EvalUnit* const> units, std::span<Outcome> out) {
  reset_peak_memory();
  std::vector<Outcome*> outcomes;  // by cache, as the two below
  std::vector<const EvalUnit*> asked;
  std::vector<Compacted> made;
  for (size_t i = 0; i < units.size(); ++i) try {
      made.push_back(compacted(*units[i], 0));
      outcomes.push_back(&out[i]);
      asked.push_back(units[i]);
    } catch (...) {
      out[i].error = std::current_exception();
      if (ends_run(out[i].error)) break;
    }
  const auto ask = [&](size_t first, size_t count) {
    std::vector<SampleUnit> done =
        ask_together(std::span(asked).subspan(first, count), std::span(made).subspan(first, count));
    for (size_t c = 0; c < count; ++c) outcomes[first + c]->unit = std::move(done[c]);
  };
  // Whose fault an error is shows when each is asked alone.
  bool alone = made.size() == 1;
  if (!alone) try {
      ask(0, made.size());
    } catch (const Error&) {
      alone = true;
    }
  for (size_t c = 0; alone && c < made.size(); ++c) try {
      ask(c, 1);
    } catch (...) {
      outcomes[c]->error = std::current_exception();
      if (ends_run(outcomes[c]->error)) break;
    }
}

std::vector<SampleUnit> DocumentEval::ask_together(std::span<const EvalUnit* const> units,
                                                   std::span<Compacted> made) const {
  std::vector<SampleUnit> out(made.size());
  std::vector<KvCache*> caches;
  std::vector<std::vector<HeldPoint>> timelines;
  for (Compacted& compacted : made) caches.push_back(&compacted.document.cache);
  for (size_t q = 0; q < document_.questions.size(); ++q) {
    const std::vector<Answer> given = answers(caches, references_[q].prompt);
    for (size_t c = 0; c < made.size(); ++c) {
      SampleRow row = row_of(*units[c], made[c], q);
      take(given[c], made[c], q, row);
      if (q == 0) timelines.push_back(given[c].footprint.timeline);
      out[c].rows.push_back(std::move(row));
    }
  }
  const int64_t peak = peak_memory();
  for (size_t c = 0; c < made.size(); ++c) {
    out[c].heads = heads_of(*units[c], caches[c]->shape());
    out[c].heads.kept = made[c].document.heads;
    if (c < timelines.size()) out[c].heads.timeline = std::move(timelines[c]);
    for (SampleRow& row : out[c].rows) row.rss_peak = peak;
  }
  return out;
}

SampleUnit DocumentEval::run_alone(const EvalUnit& unit) {
  reset_peak_memory();
  SampleUnit out;
  std::optional<Compacted> shared;
  std::vector<int64_t> heads;
  int64_t compactions = 0;
  for (size_t i = 0; i < document_.questions.size(); ++i) {
    // One for all questions, or one for each that is known beforehand.
    if (i == 0 || settings_.mode != EvalMode::agnostic) {
      shared.emplace(compacted(unit, i));
      add_heads(shared->document.heads, compactions++, heads);
      out.heads = heads_of(unit, shared->document.cache.shape());
    }
    SampleRow row = row_of(unit, *shared, i);
    const FootprintReport footprint = task_.info().answer == AnswerKind::continue_text
                                          ? go_on(*shared, row)
                                          : ask(*shared, i, row);
    // Where each question has a cache of its own, the heads are those of the last.
    if (i == 0 || settings_.mode != EvalMode::agnostic) out.heads.timeline = footprint.timeline;
    out.rows.push_back(std::move(row));
  }
  for (const int64_t kept : heads)
    out.heads.kept.push_back((2 * kept + compactions) / (2 * compactions));
  const int64_t peak = peak_memory();
  for (SampleRow& row : out.rows) row.rss_peak = peak;
  return out;
}

HeadsRow DocumentEval::heads_of(const EvalUnit& unit, const CacheShape& shape) const {
  return {task_.info().name,        document_.id,   unit.label, document_.length, unit.ratio,
          shape.full_layer_count(), shape.kv_heads, {}};
}

SampleRow DocumentEval::row_of(const EvalUnit& unit, const Compacted& compacted,
                               size_t question) const {
  const CompactedDocument& made = compacted.document;
  SampleRow row;
  row.q_id = document_.questions[question].id;
  row.question = document_.questions[question].text;
  row.outputs = document_.questions[question].outputs;
  row.source = document_.source;
  row.prompt_tokens = static_cast<int64_t>(prompt_.before().size() + ids_.size() +
                                           references_[question].prompt.size());
  row.task = task_.info().name;
  row.group = task_.info().group;
  row.category = task_.info().category;
  row.doc_id = document_.id;
  row.ordinal = document_.ordinal;
  row.length = document_.length;
  row.method = unit.label;
  row.budget = unit.ratio;
  row.mode = eval_mode_name(settings_.mode);
  row.document_tokens = static_cast<int64_t>(ids_.size());
  row.truncated = truncated_;
  set_budgets(made.heads, compacted.span_tokens, row);
  row.kv_bytes = made.cache.bytes().total();
  row.bytes_ratio = static_cast<double>(row.kv_bytes) / static_cast<double>(compacted.full_bytes);
  row.seconds = made.shared;
  row.seconds.insert(row.seconds.end(), made.compaction.begin(), made.compaction.end());
  row.compaction_seconds = seconds_of(made.shared, "queries");
  for (const auto& [stage, seconds] : made.compaction) row.compaction_seconds += seconds;
  set_facts(document_, row);
  return row;
}

FootprintReport DocumentEval::ask(Compacted& compacted, size_t question, SampleRow& row) const {
  const Reference& reference = references_[question];
  KvCache* const cache = &compacted.document.cache;
  const bool generates = task_.info().answer == AnswerKind::generate;
  const Answer answer = settings_.mode == EvalMode::in_prompt ? answer_in_prompt(compacted)
                        : generates
                            ? answers({&cache, 1}, reference.prompt).front()
                            : choose(*cache, document_.questions[question], reference.prompt);
  take(answer, compacted, question, row);
  return answer.footprint;
}

void DocumentEval::take(const Answer& a, Compacted& compacted, size_t question,
                        SampleRow& row) const {
  const TaskQuestion& asked = document_.questions[question];
  const bool continues = task_.info().prefix_scored && !lm_.chat_template;
  const TaskScore score = task_.score(asked, continues ? asked.answer_prefix + a.text : a.text);
  row.prediction = a.text;
  row.finish = a.finish;
  row.generated_tokens = static_cast<int64_t>(a.tokens.size());
  row.score = score.score;
  row.parsed = score.parsed;
  row.metrics.insert(score.more.begin(), score.more.end());
  row.metrics["found"] = score.found ? 1.0 : 0.0;
  set_footprint(a.footprint, row);
  row.seconds.insert(row.seconds.end(), a.seconds.begin(), a.seconds.end());
  compare(compacted.document.cache, references_[question], row);
}

/// Language-model metrics; the score is the share of positions with the same likeliest token.
FootprintReport DocumentEval::go_on(Compacted& compacted, SampleRow& row) const {
  KvCache full = cache_->full().clone();
  KvCache& cache = compacted.document.cache;
  Stopwatch watch;
  const auto metrics = lm_metrics(lm_positions(lm_.model, full, cache, continuation_));
  row.seconds.emplace_back("question", watch.seconds());
  row.metrics.insert(metrics.begin(), metrics.end());
  row.score = metrics.at("top1");
  row.metrics["found"] = 1.0;
  row.finish = "scored";
  row.prompt_tokens += static_cast<int64_t>(continuation_.size());
  FootprintReport footprint = cache.meter().report();
  set_footprint(footprint, row);
  return footprint;
}

std::vector<DocumentEval::Answer> DocumentEval::answers(std::span<KvCache* const> caches,
                                                        const std::vector<int32_t>& prompt) const {
  const TaskInfo& info = task_.info();
  GenerateOptions o;
  o.max_tokens = info.max_new;
  o.stop = info.stop;
  // A stop string can only end an answer that has a token.
  if (info.stop_after_first) {
    o.min_tokens = 1;
    o.stop_after_first = true;
  }
  std::vector<KvCache::Mark> marks;
  for (const KvCache* cache : caches) marks.push_back(cache->mark());
  std::vector<GenerateResult> generated;
  try {
    generated = generate_together(lm_, caches, prompt, o);
  } catch (...) {
    for (size_t i = 0; i < caches.size(); ++i) caches[i]->rollback(marks[i]);
    throw;
  }
  std::vector<Answer> out;
  for (size_t i = 0; i < caches.size(); ++i) {
    const GenerateResult& r = generated[i];
    out.push_back({r.text,
                   r.finish_reason,
                   r.tokens,
                   {{"question", r.prefill_seconds}, {"decode", r.decode_seconds}},
                   caches[i]->meter().report()});
    caches[i]->rollback(marks[i]);
  }
  return out;
}

/// The question has been read and compacted with everything else: its last row, from before,
/// predicts the first token; the others come from the compact cache.
DocumentEval::Answer DocumentEval::answer_in_prompt(Compacted& compacted) const {
  const TaskInfo& info = task_.info();
  const auto first = static_cast<int32_t>(compacted.last_logits.argmax(-1).item<int64_t>());
  Answer out;
  out.finish = "stop";
  out.seconds = {{"question", 0.0}, {"decode", 0.0}};
  out.footprint = compacted.document.cache.meter().report();
  if (lm_.is_eos(first)) return out;
  out.tokens = {first};
  if (info.max_new > 1) {
    GenerateOptions o;
    o.max_tokens = info.max_new - 1;
    const GenerateResult r = generate(lm_, compacted.document.cache, out.tokens, o);
    out.tokens.insert(out.tokens.end(), r.tokens.begin(), r.tokens.end());
    out.finish = r.finish_reason;
    out.seconds = {{"question", r.prefill_seconds}, {"decode", r.decode_seconds}};
    out.footprint = compacted.document.cache.meter().report();
  }
  out.text = lm_.tokenizer.decode(out.tokens);
  const std::string beginning = lm_.tokenizer.decode(std::span(out.tokens).first(1));
  cut_at_stops(info.stop, info.stop_after_first ? beginning.size() : 0, out.text);
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
      const std::vector<int32_t> ids = prompt_.continued(question.answer_prefix, option);
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
