#include "limbeck/compact/quality/curve.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>

#include <vector>

namespace limbeck {
namespace {

/// Values of the formula, computed apart (arXiv 2507.08143's curve).
TEST(QualityCurveTest, EqualsTheTable) {
  struct Row {
    double b, r90, r95, r99, f1, f3, f5;
  };
  for (const Row& row : {Row{-20, .115129, .149787, .230258, .864665, .997521, .999955},
                         Row{-10, .230218, .299487, .460069, .632149, .950256, .993307},
                         Row{-6, .380087, .491619, .730953, .452310, .836775, .952574},
                         Row{-4, .537500, .674278, .892708, .335831, .711844, .880797},
                         Row{-2, .752986, .861391, .969034, .209641, .521807, .731059},
                         Row{2, .954782, .977902, .995658, .034653, .128676, .268941}}) {
    EXPECT_NEAR(ratio_for(0.90, row.b), row.r90, 1e-6) << row.b;
    EXPECT_NEAR(ratio_for(0.95, row.b), row.r95, 1e-6) << row.b;
    EXPECT_NEAR(ratio_for(0.99, row.b), row.r99, 1e-6) << row.b;
    EXPECT_NEAR(quality_at(0.1, row.b), row.f1, 1e-6) << row.b;
    EXPECT_NEAR(quality_at(0.3, row.b), row.f3, 1e-6) << row.b;
    EXPECT_NEAR(quality_at(0.5, row.b), row.f5, 1e-6) << row.b;
  }
}

TEST(QualityCurveTest, RatioAndQualityAreInverseForEveryB) {
  for (const double b :
       {-800.0, -40.0, -3.0, -1e-3, -2e-5, 0.0, 3e-5, 1e-3, 3.0, 29.9, 30.1, 300.0}) {
    EXPECT_DOUBLE_EQ(quality_at(0, b), 0.0);
    EXPECT_NEAR(quality_at(1, b), 1.0, 1e-12);
    for (const double q : {0.05, 0.5, 0.95})
      EXPECT_NEAR(quality_at(ratio_for(q, b), b), q, 1e-6) << b << " " << q;
  }
}

std::vector<QualitySample> samples(double swing) {
  std::vector<QualitySample> out;
  for (const double nll : {1.0, 2.0, 3.0, 4.0})
    for (const double r : {.05, .1, .2, .35, .5, .75}) {
      out.push_back({nll, r, quality_at(r, 1.5 * nll - 12) + swing});
      swing = -swing;
    }
  return out;
}

TEST(QualityCurveTest, AFitFindsTheCurveItsSamplesComeFrom) {
  const QualityFit f = fit_quality(samples(0.0));
  EXPECT_NEAR(f.curve.alpha, 1.5, 1e-6);
  EXPECT_NEAR(f.curve.beta, -12, 1e-5);
  EXPECT_NEAR(f.loss, 0, 1e-12);
  EXPECT_NEAR(f.error_95, 0, 1e-6);
}

TEST(QualityCurveTest, BrokenPromisesWeighMore) {
  const QualityFit careful = fit_quality(samples(0.05)), plain = fit_quality(samples(0.05), 1.0);
  EXPECT_NEAR(careful.curve.alpha, 1.39815, 1e-4);
  EXPECT_NEAR(careful.curve.beta, -11.00296, 1e-3);
  EXPECT_NEAR(careful.loss, 0.1215197, 1e-6);
  EXPECT_NEAR(plain.curve.alpha, 1.54669, 1e-4);
  EXPECT_NEAR(plain.curve.beta, -12.27403, 1e-3);
  EXPECT_NEAR(ratio_for(0.95, plain.curve.b(1)), .2792, 1e-4);
  EXPECT_NEAR(ratio_for(0.95, careful.curve.b(1)), .3118, 1e-4);
  EXPECT_GE(careful.error_95, careful.error_50);
}

TEST(QualityCurveTest, RefusesWhatSaysNothing) {
  EXPECT_THROW(fit_quality(std::vector<QualitySample>{{1, .5, .5}}), InvalidArgument);
  EXPECT_THROW(fit_quality(std::vector<QualitySample>{{1, .5, .5}, {1, 0, .5}}), InvalidArgument);
  std::vector<QualitySample> upside;  // the harder the text, the more quality
  for (const QualitySample& s : samples(0.0)) upside.push_back({5 - s.nll, s.ratio, s.quality});
  EXPECT_THROW(fit_quality(upside), NumericalError);
}

}  // namespace
}  // namespace limbeck
