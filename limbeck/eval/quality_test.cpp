#include "limbeck/eval/quality.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

EvalRow row(int64_t context, double loss, double kept, double quality) {
  EvalRow r;
  r.key = {512, context, "kvzip", kept};
  r.text_loss = loss;
  r.kept = kept;
  r.answers.nll_full = 0.3;
  r.answers.nll_other = (0.3 + kQualityEpsilon) / quality - kQualityEpsilon;
  return r;
}

EvalResult measured() {
  EvalResult out;
  for (int64_t c = 0; c < 4; ++c)
    for (const double r : {.05, .1, .2, .35, .5, .75})
      out.rows.push_back(row(c, 1.0 + static_cast<double>(c), r,
                             quality_at(r, 1.5 * (1.0 + static_cast<double>(c)) - 12)));
  return out;
}

TEST(QualityTest, FitsTheCurveOfEveryMethodFromItsRows) {
  EvalPlan plan;
  plan.methods = {parse_method_entry("kvzip")};
  const auto fits = fit_methods(plan, measured());
  ASSERT_EQ(fits.size(), 1U);
  EXPECT_NEAR(fits[0].fit.curve.alpha, 1.5, 1e-4);
  EXPECT_NEAR(fits[0].fit.curve.beta, -12, 1e-3);
  EXPECT_EQ(fits[0].samples, 24);
  EXPECT_EQ(fits[0].contexts, 4);
  EXPECT_EQ(fits[0].fingerprint, method_fingerprint(plan.methods[0]));
}

TEST(QualityTest, BetterThanTheFullCacheCountsAsOne) {
  EXPECT_EQ(quality_samples({row(0, 1, .5, 1.2)}, "kvzip")[0].quality, 1.0);
  EXPECT_TRUE(quality_samples({row(0, 1, .5, 1.2)}, "knorm").empty());
  EXPECT_TRUE(quality_samples({row(0, std::nan(""), .5, 1)}, "kvzip").empty());
}

TEST(QualityTest, TheFileGivesBackWhatWasWritten) {
  EvalPlan plan;
  plan.methods = {parse_method_entry("kvzip")};
  QualityFile file{"llama", "abc", fit_methods(plan, measured())};
  const test::ScratchFolder dir;
  write_quality_file(file, dir.path() / "q.json");
  const QualityFile back = read_quality_file(dir.path() / "q.json");
  EXPECT_EQ(back.architecture, "llama");
  EXPECT_EQ(back.model_fingerprint, "abc");
  const MethodQuality* m = back.find(file.methods[0].fingerprint);
  ASSERT_NE(m, nullptr);
  EXPECT_EQ(m->fit.curve.alpha, file.methods[0].fit.curve.alpha);
  EXPECT_EQ(m->fit.curve.beta, file.methods[0].fit.curve.beta);
  EXPECT_EQ(m->samples, 24);
  EXPECT_EQ(back.find("else"), nullptr);
}

TEST(QualityTest, NamesTheFieldThatIsWrong) {
  const auto error = [](const std::string& text) {
    return test::error_text<FormatError>([&] { parse_quality_file(text, "[quality] q.json"); });
  };
  EXPECT_NE(error("{}").find("\"format\" is missing"), std::string::npos);
  EXPECT_NE(error(R"({"format": "x"})").find("must be limbeck-quality"), std::string::npos);
  const std::string head =
      R"({"format": "limbeck-quality", "version": 1, "architecture": "a", "model_fingerprint": "f", )";
  EXPECT_NE(error(head + R"("methods": 3})").find("must be a list"), std::string::npos);
  EXPECT_NE(
      error(head + R"("methods": [{"method": "m", "fingerprint": "f", "alpha": -1, "beta": 0}]})")
          .find("methods[0]: \"alpha\" must be above 0"),
      std::string::npos);
  EXPECT_NE(error(head + R"("methods": [{"method": "m", "fingerprint": "f", "alpha": "x"}]})")
                .find("must be a finite number"),
            std::string::npos);
}

}  // namespace
}  // namespace limbeck
