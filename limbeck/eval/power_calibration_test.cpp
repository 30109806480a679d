#include "limbeck/eval/power_calibration.h"

#include "limbeck/eval/compaction_eval.h"
#include "limbeck/eval/eval_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(PowerCalibrationTest, APowerMustBeWorthIt) {
  const std::vector<PowerTrial> better = {{0.0, 1.17, 0.22}, {0.15, 0.8, 0.24}, {0.35, 0.67, 0.23}};
  EXPECT_EQ(best_coverage_power(better), 0.35);
  const std::vector<PowerTrial> worse = {{0.0, 1.94, 0.79}, {0.15, 2.86, 0.80}, {0.35, 2.69, 0.79}};
  EXPECT_EQ(best_coverage_power(worse), 0.0);
  const std::vector<PowerTrial> alike = {{0.0, 1.0, 0.2}, {0.15, 0.95, 0.18}};
  EXPECT_EQ(best_coverage_power(alike), 0.0);
  // What the answers gain and the text loses cancels.
  const std::vector<PowerTrial> traded = {{0.0, 1.0, 0.2}, {0.35, 0.8, 0.5}};
  EXPECT_EQ(best_coverage_power(traded), 0.0);
}

TEST(PowerCalibrationTest, TrialsAreWhatTheEvaluationMeasures) {
  const LanguageModel lm = test::tiny_language_model();
  const std::vector<SourceText> texts = {{"a book", test::made_up_book(400, 1)}};
  const HeadTable weights{"weights", "manual", "", "", 2, 2, {1, 1, 1, 400}};
  const std::vector<PowerTrial> trials =
      try_coverage_powers(lm, texts, weights, {.contexts = 1, .tokens = 600});
  EvalPlan plan;
  plan.texts = texts;
  plan.methods = {parse_method_entry("limbeck:head-power=0.35")};
  plan.methods[0].options.head_weights = weights;
  plan.ratios = {0.02};
  plan.lengths = {600};
  plan.contexts = 1;
  const EvalResult want = evaluate_compaction(lm, plan);
  ASSERT_EQ(trials.size(), 3U);
  EXPECT_EQ(trials[0].power, 0.0);
  EXPECT_GT(trials[0].kl_answers, 0.0);
  EXPECT_NE(trials[0].kl_answers, trials[2].kl_answers);
  EXPECT_EQ(trials[2].kl_answers, want.rows[1].answers.kl);
  EXPECT_EQ(trials[2].kl_continuation, want.rows[1].continuation.kl);
}

}  // namespace
}  // namespace limbeck
