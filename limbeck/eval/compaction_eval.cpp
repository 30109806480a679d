#include "limbeck/eval/compaction_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/context_eval.h"
#include "limbeck/eval/eval_log.h"
#include "limbeck/io/checksum.h"

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace limbeck {
namespace {

std::vector<EvalUnit> units_of(const EvalPlan& plan) {
  std::vector<EvalUnit> out = {{std::string(kFullLabel), 1.0, nullptr, {}}};
  for (const double ratio : plan.ratios)
    for (const MethodEntry& m : plan.methods)
      out.push_back({m.label, ratio, &m, method_fingerprint(m)});
  out.push_back({std::string(kNoneLabel), 0.0, nullptr, {}});
  return out;
}

void check_plan(const EvalPlan& plan) {
  if (plan.lengths.empty()) throw InvalidArgument("[eval] need a length; found none");
  if (plan.contexts < 1)
    throw InvalidArgument("[eval] contexts must be at least 1; found {}", plan.contexts);
  if (!plan.methods.empty() && plan.ratios.empty())
    throw InvalidArgument("[eval] methods need a ratio; found none");
  for (const double r : plan.ratios)
    if (!(r > 0.0 && r <= 1.0))
      throw InvalidArgument("[eval] ratios must be in (0, 1]; found {}", r);
  for (const MethodEntry& m : plan.methods)
    if (m.label == kFullLabel || m.label == kNoneLabel)
      throw InvalidArgument("[eval] \"{}\" is always measured and cannot name a method", m.label);
  std::set<EvalKey> known;
  for (const EvalUnit& u : units_of(plan))
    if (!known.insert({0, 0, u.label, u.ratio}).second)
      throw InvalidArgument("[eval] methods and ratios must be distinct; found {} at {} twice",
                            u.label, u.ratio);
  check_steps(plan.methods, plan.ratios);
  if (std::set<int64_t>(plan.lengths.begin(), plan.lengths.end()).size() != plan.lengths.size())
    throw InvalidArgument("[eval] lengths must be distinct");
}

/// Goes through a plan; rows come from the log or are measured.
class Runner {
 public:
  Runner(const LanguageModel& lm, const EvalPlan& plan)
      : plan_(plan),
        lm_(lm),
        units_(units_of(plan)),
        frame_(chat_frame(lm)),
        contexts_(lm.tokenizer, frame_, plan.texts, plan.needles) {
    check_room();
    if (!plan.log.empty()) log_.emplace(plan.log, eval_settings(lm, plan));
    if (log_)
      for (const EvalRow& row : log_->rows()) rows_[row.key] = row;
    for (const EvalUnit& u : units_) check_logged(u);
  }

  EvalResult run() {
    for (const int64_t length : plan_.lengths)
      for (int64_t i = 0; i < plan_.contexts; ++i)
        total_ += static_cast<int64_t>(pending(length, i).size());
    for (const int64_t length : plan_.lengths)
      for (int64_t i = 0; i < plan_.contexts; ++i) run_context(length, i);
    return result();
  }

 private:
  /// Texts that are too short and windows that are too small are found before any work.
  void check_room() {
    const int64_t window = lm_.model.spec().context_length;
    for (const int64_t length : plan_.lengths)
      for (int64_t i = 0; i < plan_.contexts; ++i) {
        const int64_t needed = ContextEval::tokens_needed(contexts_.context(length, i));
        if (needed > window)
          throw InvalidArgument(
              "[eval] a span of {} tokens needs {} with what stands around it; the model's window "
              "has {}",
              length, needed, window);
      }
  }

  static EvalKey key_of(int64_t length, int64_t context, const EvalUnit& u) {
    return {length, context, u.label, u.ratio};
  }

  void check_logged(const EvalUnit& u) const {
    for (const auto& [key, row] : rows_)
      if (key.method == u.label && row.fingerprint != u.fingerprint)
        throw Mismatch(
            "[eval] {} holds rows of {} with other options or head tables; name another file to "
            "start anew",
            plan_.log.string(), u.label);
  }

  std::vector<const EvalUnit*> pending(int64_t length, int64_t context) const {
    std::vector<const EvalUnit*> out;
    for (const EvalUnit& u : units_)
      if (!rows_.contains(key_of(length, context, u))) out.push_back(&u);
    return out;
  }

  void run_context(int64_t length, int64_t i) {
    const std::vector<const EvalUnit*> todo = pending(length, i);
    if (todo.empty()) return;
    // Contexts of different lengths may share a seed; those of one length do not.
    ContextEval context(lm_, contexts_.context(length, i), frame_,
                        static_cast<int64_t>(splitmix64_at(plan_.needles.seed, i) >> 1));
    for (const EvalUnit* u : todo) {
      EvalRow row = context.run(*u);
      row.engine = plan_.engine;
      row.key = key_of(length, i, *u);
      if (log_) log_->append(row);
      rows_[row.key] = std::move(row);
      report_progress(plan_.progress, {"eval", "runs", ++done_, total_});
    }
  }

  EvalResult result() {
    EvalResult out;
    for (const int64_t length : plan_.lengths)
      for (int64_t i = 0; i < plan_.contexts; ++i)
        for (const EvalUnit& u : units_) out.rows.push_back(std::move(rows_[key_of(length, i, u)]));
    out.summary = summarise_rows(out.rows);
    return out;
  }

  const EvalPlan& plan_;
  const LanguageModel& lm_;
  std::vector<EvalUnit> units_;
  ChatFrame frame_;
  NeedleContexts contexts_;
  std::optional<EvalLog> log_;
  std::map<EvalKey, EvalRow> rows_;
  int64_t done_ = 0, total_ = 0;
};

}  // namespace

nlohmann::ordered_json eval_settings(const LanguageModel& lm, const EvalPlan& plan) {
  Hasher128 texts;
  for (const SourceText& t : plan.texts) {
    texts.update_u64(t.text.size());
    texts.update(t.text);
  }
  nlohmann::ordered_json j;
  j["model"] = lm.name;
  j["model_fingerprint"] = lm.model.fingerprint();
  j["dtype"] = dtype_name(lm.model.dtype());
  j["tokenizer_fingerprint"] = lm.tokenizer.fingerprint();
  j["template_fingerprint"] = lm.chat_template ? lm.chat_template->fingerprint() : "";
  j["texts"] = plan.texts.size();
  j["texts_fingerprint"] = hash_hex(texts.digest());
  for (const auto& [name, value] : options_to_texts(plan.needles)) j[name] = value;
  j["threads"] = at::get_num_threads();  // times of different numbers must not mix
  return j;
}

EvalResult evaluate_compaction(const LanguageModel& lm, const EvalPlan& plan) {
  check_plan(plan);
  return Runner(lm, plan).run();
}

}  // namespace limbeck
