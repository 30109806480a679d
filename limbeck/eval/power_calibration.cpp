#include "limbeck/eval/power_calibration.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/compaction_eval.h"

namespace limbeck {

std::vector<PowerTrial> try_coverage_powers(const LanguageModel& lm, std::vector<SourceText> texts,
                                            const HeadTable& weights,
                                            const PowerCalibrationOptions& options,
                                            const ProgressFn& progress) {
  constexpr double kRatio = 0.02;
  EvalPlan plan;
  plan.texts = std::move(texts);
  plan.lengths = {options.tokens};
  plan.contexts = options.contexts;
  plan.ratios = {kRatio};
  plan.progress = progress;
  std::vector<PowerTrial> out;
  for (const double power : {0.0, 0.15, 0.35}) {
    MethodEntry entry =
        parse_method_entry(fmt::format("{}:head-power={}", std::string(kDefaultMethod), power));
    entry.options.head_weights = weights;
    plan.methods.push_back(std::move(entry));
    out.push_back({power});
  }
  const EvalResult result = evaluate_compaction(lm, plan);
  for (const EvalSummary& s : result.summary)
    for (size_t i = 0; i < out.size(); ++i)
      if (s.method == plan.methods[i].label) {
        out[i].kl_answers = s.kl_answers.mean;
        out[i].kl_continuation = s.kl_continuation.mean;
      }
  return out;
}

double best_coverage_power(std::span<const PowerTrial> trials) {
  const auto loss = [](const PowerTrial& t) { return t.kl_answers + t.kl_continuation; };
  double best = 0.0, least = INFINITY;
  for (const PowerTrial& t : trials)
    if (t.power == 0.0) least = 0.9 * loss(t);
  for (const PowerTrial& t : trials)
    if (t.power != 0.0 && loss(t) < least) {
      least = loss(t);
      best = t.power;
    }
  return best;
}

}  // namespace limbeck
