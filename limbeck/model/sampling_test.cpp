#include "limbeck/model/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

namespace limbeck {
namespace {

const std::vector<float> kLogits = {1.0F, 3.0F, 2.0F, 3.0F, -1.0F};

std::map<int32_t, int> draw(const SamplingOptions& o, int count = 4000) {
  std::map<int32_t, int> seen;
  for (int step = 0; step < count; ++step) ++seen[sample_token(kLogits, o, {}, step)];
  return seen;
}

TEST(SamplingTest, GreedyTakesTheLowestIdOfATie) { EXPECT_EQ(sample_token(kLogits, {}, {}, 0), 1); }

TEST(SamplingTest, DrawsFollowTheSoftmax) {
  SamplingOptions o;
  o.temperature = 1.0;
  const auto seen = draw(o, 20000);
  double total = 0;
  for (float x : kLogits) total += std::exp(x);
  for (int32_t id = 0; id < 5; ++id)
    EXPECT_NEAR(seen.at(id) / 20000.0, std::exp(kLogits[id]) / total, 0.015) << id;
}

TEST(SamplingTest, FiltersKeepWhatTheyPromise) {
  SamplingOptions o;
  o.temperature = 1.0;
  o.top_k = 2;
  EXPECT_EQ(draw(o).size(), 2u);
  o.top_k = 0;
  o.top_p = 0.5;  // the two likeliest hold 74 %, one holds 37 %
  EXPECT_EQ(draw(o).size(), 2u);
  o.top_p = 1.0;
  o.min_p = 0.3;  // exp(2 - 3) = 0.37 stays, exp(1 - 3) = 0.14 goes
  EXPECT_EQ(draw(o).size(), 3u);
}

TEST(SamplingTest, SeedAndStepDecideTheDraw) {
  SamplingOptions o;
  o.temperature = 2.0;
  o.seed = 5;
  std::vector<int32_t> a, b;
  for (int step = 0; step < 50; ++step) a.push_back(sample_token(kLogits, o, {}, step));
  for (int step = 49; step >= 0; --step) b.insert(b.begin(), sample_token(kLogits, o, {}, step));
  EXPECT_EQ(a, b);
}

TEST(SamplingTest, RepetitionPenaltyPunishesOnce) {
  SamplingOptions o;
  o.repetition_penalty = 2.0;
  EXPECT_EQ(sample_token(kLogits, o, std::vector<int32_t>{1, 1, 3}, 0), 2);
}

TEST(SamplingTest, ForbiddenAndNonFiniteTokensAreNeverChosen) {
  EXPECT_EQ(sample_token(kLogits, {}, {}, 0, std::vector<int32_t>{1, 3}), 2);
  const std::vector<float> bad = {NAN, -INFINITY, NAN};
  try {
    sample_token(bad, {}, {}, 12);
    FAIL();
  } catch (const NumericalError& e) {
    EXPECT_STREQ(e.what(), "[sample] no finite logit at step 12");
  }
}

}  // namespace
}  // namespace limbeck
