#include "limbeck/eval/metrics/statistics.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

using Values = std::vector<double>;

TEST(StatisticsTest, QuantilesInterpolate) {
  const Values x = {.5, .01, .04, .02, .08};
  EXPECT_DOUBLE_EQ(quantile(x, .5), .04);
  EXPECT_NEAR(quantile(x, .9), .332, 1e-12);
  EXPECT_NEAR(quantile(x, .95), .416, 1e-12);
  EXPECT_NEAR(quantile(x, .99), .4832, 1e-12);
  EXPECT_EQ(quantile(x, 0), .01);
  EXPECT_EQ(quantile(x, 1), .5);
  const Values dp = {-.1, -.3, 0};
  EXPECT_NEAR(quantile(dp, .25), -.2, 1e-12);
  EXPECT_NEAR(quantile(dp, .75), -.05, 1e-12);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(median(Values{1, 2, infinity}), 2);
}

TEST(StatisticsTest, MeansMediansAndDeviations) {
  const Values x = {1, 1, 2, 2, 4, 6, 9};
  EXPECT_NEAR(mean(x), 25.0 / 7, 1e-12);
  EXPECT_EQ(median(x), 2);
  EXPECT_EQ(median_absolute_deviation(x), 1);
  EXPECT_EQ(median(Values{1, 2}), 1.5);
  EXPECT_EQ(median_absolute_deviation(Values{5}), 0);
}

TEST(StatisticsTest, RefusesWhatHasNoValue) {
  EXPECT_THROW(mean({}), InvalidArgument);
  EXPECT_THROW(quantile({}, .5), InvalidArgument);
  EXPECT_THROW(quantile(Values{1}, 1.1), InvalidArgument);
  EXPECT_THROW(quantile(Values{1}, std::nan("")), InvalidArgument);
  EXPECT_THROW(median(Values{1, std::nan("")}), InvalidArgument);
}

std::vector<DocumentScores> draws(int64_t documents, uint64_t seed) {
  Random random(seed);
  std::vector<DocumentScores> out;
  for (int64_t i = 0; i < documents; ++i) out.push_back({random.uniform() < 0.3 ? 1.0 : 0.0});
  return out;
}

TEST(BootstrapTest, IntervalOfAProportionIsNearItsNormalOne) {
  const auto documents = draws(400, 8);
  const Interval found = bootstrap_mean(documents);
  const double half = 1.96 * std::sqrt(found.value * (1 - found.value) / 400);
  EXPECT_NEAR(found.low, found.value - half, 0.006);
  EXPECT_NEAR(found.high, found.value + half, 0.006);
}

TEST(BootstrapTest, TheSeedDecides) {
  const auto documents = draws(50, 1);
  const Interval a = bootstrap_mean(documents), b = bootstrap_mean(documents),
                 c = bootstrap_mean(documents, {.seed = 43});
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_EQ(a.value, c.value);
  EXPECT_TRUE(a.low != c.low || a.high != c.high ||
              bootstrap_mean(documents, {.resamples = 1, .seed = 3}).low != a.low);
}

TEST(BootstrapTest, ADocumentCountsOnceHoweverManyQuestionsItHas) {
  const std::vector<DocumentScores> documents = {{1, 1, 1, 1, 1, 1}, {0}};
  EXPECT_EQ(bootstrap_mean(documents).value, 0.5);
  EXPECT_EQ(bootstrap_mean(documents).low, 0);
  EXPECT_EQ(bootstrap_mean(documents).high, 1);
}

TEST(BootstrapTest, OneDocumentHasNoSpread) {
  const std::vector<DocumentScores> one = {{0.25, 0.75}};
  const Interval found = bootstrap_mean(one);
  EXPECT_EQ(found.low, 0.5);
  EXPECT_EQ(found.high, 0.5);
}

TEST(BootstrapTest, PairsStayTogether) {
  const auto b = draws(100, 2);
  auto a = b;
  for (DocumentScores& scores : a) scores[0] += 0.25;
  const Interval found = bootstrap_difference(a, b);
  EXPECT_EQ(found.value, 0.25);
  EXPECT_EQ(found.low, 0.25);
  EXPECT_EQ(found.high, 0.25);
  const Interval none = bootstrap_difference(b, b);
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 0);
}

TEST(BootstrapTest, RefusesBadSamplesAndOptions) {
  const std::vector<DocumentScores> one = {{1}}, hollow = {{}}, two = {{1}, {0}};
  EXPECT_THROW(bootstrap_mean({}), InvalidArgument);
  EXPECT_THROW(bootstrap_mean(hollow), InvalidArgument);
  EXPECT_THROW(bootstrap_mean(one, {.resamples = 0}), InvalidArgument);
  EXPECT_THROW(bootstrap_mean(one, {.confidence = 1}), InvalidArgument);
  EXPECT_THROW(bootstrap_difference(one, two), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
