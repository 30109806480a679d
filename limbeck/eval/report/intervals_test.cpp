#include "limbeck/eval/report/intervals.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

TEST(IntervalsTest, QuantilesInterpolateBetweenNeighbours) {
  const std::vector<double> x{.01, .02, .04, .08, .5};
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 0.5), .04);
  EXPECT_NEAR(sorted_quantile(x, 0.9), .332, 1e-12);
  EXPECT_NEAR(sorted_quantile(x, 0.95), .416, 1e-12);
  EXPECT_NEAR(sorted_quantile(x, 0.99), .4832, 1e-12);
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 1), .5);
  EXPECT_DOUBLE_EQ(sorted_quantile(x, 0), .01);
  const std::vector<double> dp{-.3, -.1, 0};
  EXPECT_NEAR(sorted_quantile(dp, .25), -.2, 1e-12);
  EXPECT_NEAR(sorted_quantile(dp, .75), -.05, 1e-12);
  EXPECT_TRUE(std::isnan(sorted_quantile({}, 0.5)));
}

TEST(IntervalsTest, HasTheWidthOfTheNormalApproximation) {
  Random random(1);
  std::vector<double> x(400);
  for (double& v : x) v = random.normal();
  const ScoreInterval ci = bootstrap_scores(x, "a key");
  EXPECT_NEAR(ci.high - ci.low, 2 * 1.96 / 20, 0.03);
  EXPECT_NEAR((ci.high + ci.low) / 2, mean_of(x), 0.01);
}

TEST(IntervalsTest, FollowsTheKeyAlone) {
  const std::vector<double> x{0, 1, 1, 0, 0.5, 1, 0.25};
  const ScoreInterval a = bootstrap_scores(x, "a"), again = bootstrap_scores(x, "a"),
                      b = bootstrap_scores(x, "b|other");
  EXPECT_EQ(a.low, again.low);
  EXPECT_EQ(a.high, again.high);
  EXPECT_NEAR(a.low, b.low, 0.1);
}

TEST(IntervalsTest, OneDocumentSaysNothing) {
  const ScoreInterval ci = bootstrap_scores(std::vector<double>{1}, "a");
  EXPECT_TRUE(std::isnan(ci.low));
  EXPECT_FALSE(ci.excludes(0));
  EXPECT_TRUE(std::isnan(bootstrap_scores(std::vector<double>{}, "a").high));
}

TEST(IntervalsTest, StrataAreResampledByThemselves) {
  // Two tasks that are each certain: their mean is certain too, though the values differ.
  const std::vector<std::vector<double>> strata{{1, 1, 1}, {0, 0}};
  const ScoreInterval ci = bootstrap_scores(strata, "a");
  EXPECT_DOUBLE_EQ(ci.low, 0.5);
  EXPECT_DOUBLE_EQ(ci.high, 0.5);
}

TEST(IntervalsTest, RobustLeavesOutWhatIsNoNumber) {
  const Robust r = robust_of({5, 1, 2, std::numeric_limits<double>::quiet_NaN(), 9, 100});
  EXPECT_DOUBLE_EQ(r.median, 5);
  EXPECT_DOUBLE_EQ(r.mad, 4);
  EXPECT_DOUBLE_EQ(r.min, 1);
  EXPECT_EQ(r.count, 5);
  EXPECT_TRUE(std::isnan(robust_of({}).median));
}

}  // namespace
}  // namespace limbeck
