#include "limbeck/compact/allocate/allocator.h"

#include "limbeck/base/random.h"
#include "limbeck/compact/contests_testing.h"
#include "limbeck/compact/score/fixture_testing.h"
#include "limbeck/compact/score/hull.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

struct Contests : test::Contests {
  std::vector<int64_t> kept(const std::string& name, const AllocatorOptions& options = {}) const {
    std::vector<int64_t> out;
    for (const auto& slots : make_allocator(name, options)->allocate(heads, 1.0))
      out.push_back(static_cast<int64_t>(slots.size()));
    return out;
  }
};

using Kept = std::vector<int32_t>;

TEST(AdakvTest, MatchesTheExampleByHand) {
  Contests c;
  c.add(0, 0, {.9F, .8F, .7F, .6F, .5F}, 2);
  c.add(0, 1, {.1F, .2F, .3F, .4F, .05F}, 2);
  const auto with = [&](const char* safe) {
    return make_allocator("adakv", {{"safe", safe}})->allocate(c.heads, 1.0);
  };
  EXPECT_EQ(with("0.5"), (Selection{{0, 1, 2}, {3}}));
  EXPECT_EQ(with("0"), (Selection{{0, 1, 2, 3}, {}}));
  EXPECT_EQ(with("1"), (Selection{{0, 1}, {2, 3}}));
  EXPECT_EQ(make_allocator("layer")->allocate(c.heads, 1.0), (Selection{{0, 1, 2, 3}, {}}));
}

TEST(AdakvTest, CompactorOnTheFixtureSharesTheLayer) {
  const LayerSegment slots = test::fixture_slots();
  const OwnQueries own{0, 0, 0.5, test::fixture_queries()};
  ScoreInput in = test::fixture_input(slots);
  in.own = &own;
  at::Tensor scores = at::empty({24}, at::kFloat);
  make_scorer("compactor", {{"block", "4"}})->score(in, scores);
  const float* s = scores.const_data_ptr<float>();
  Contests c;
  c.add(0, 0, {s, s + 12}, 4);
  c.add(0, 1, {s + 12, s + 24}, 4);
  const Selection shared = {{0, 2, 4, 9, 11}, {2, 3, 8}};
  EXPECT_EQ(make_allocator("layer")->allocate(c.heads, 1.0), shared);
  for (const char* safe : {"0.2", "0.5"})
    EXPECT_EQ(make_allocator("adakv", {{"safe", safe}})->allocate(c.heads, 1.0), shared) << safe;
  EXPECT_EQ(make_allocator("adakv", {{"safe", "1"}})->allocate(c.heads, 1.0),
            make_allocator("uniform")->allocate(c.heads, 1.0));
}

/// The rule slot by slot: safe slots of each head, then the best of all others, one at a time.
Selection adakv_plain(std::vector<HeadContest> heads, double safe) {
  const auto best_of = [&](size_t begin, size_t end) {
    std::pair<size_t, int64_t> best{end, -1};
    for (size_t h = begin; h < end; ++h)
      for (int64_t i = 0; i < heads[h].size(); ++i) {
        if (heads[h].forced[i] != 0) continue;
        if (best.second < 0) {
          best = {h, i};
          continue;
        }
        const HeadContest& b = heads[best.first];
        const float x = heads[h].scores[i], y = b.scores[best.second];
        const int32_t p = heads[h].positions[i], q = b.positions[best.second];
        if (x > y || (x == y && p > q)) best = {h, i};
      }
    return best;
  };
  for (size_t begin = 0; begin < heads.size();) {
    size_t end = begin;
    int64_t total = 0;
    while (end < heads.size() && heads[end].layer == heads[begin].layer) {
      total += heads[end].budget - heads[end].forced_count();
      ++end;
    }
    for (size_t h = begin; h < end; ++h) {
      const auto open = static_cast<double>(heads[h].budget - heads[h].forced_count());
      for (auto n = static_cast<int64_t>(safe * open + 1e-9); n > 0; --n, --total)
        heads[h].forced[best_of(h, h + 1).second] = 1;
    }
    for (; total > 0; --total) {
      const auto [h, i] = best_of(begin, end);
      heads[h].forced[i] = 1;
    }
    begin = end;
  }
  Selection out(heads.size());
  for (size_t h = 0; h < heads.size(); ++h)
    for (int64_t i = 0; i < heads[h].size(); ++i)
      if (heads[h].forced[i] != 0) out[h].push_back(static_cast<int32_t>(i));
  return out;
}

TEST(AdakvTest, RankingGivesWhatTheRuleGivesSlotBySlot) {
  Random random(17);
  for (int trial = 0; trial < 200; ++trial) {
    Contests c;
    for (int64_t h = 0, n = 1 + static_cast<int64_t>(random.below(6)); h < n; ++h) {
      std::vector<float> s(1 + random.below(20));
      for (float& x : s) x = static_cast<float>(random.below(6));  // many ties
      const auto size = static_cast<int64_t>(s.size());
      c.add(h / 3, h % 3, std::move(s), 1 + static_cast<int64_t>(random.below(size)));
    }
    for (HeadContest& h : c.heads)
      for (int64_t i = 0, most = h.budget / 2; i < most; ++i) h.forced[random.below(h.size())] = 1;
    for (const double safe : {0.0, 0.2, 0.7, 1.0})
      EXPECT_EQ(make_allocator("adakv", {{"safe", std::to_string(safe)}})->allocate(c.heads, 1.0),
                adakv_plain(c.heads, safe));
  }
}

/// 32 layers of one head of n slots, of which the last w are protected.
Contests tower(int64_t n, int64_t w, int64_t budget) {
  Contests c;
  const std::vector<float> scores(static_cast<size_t>(n), 1.0F);
  for (int64_t l = 0; l < 32; ++l) c.add(l, 0, scores, budget);
  for (HeadContest& h : c.heads)
    for (int64_t i = n - w; i < n; ++i) h.forced[i] = 1;
  return c;
}

TEST(PyramidTest, MatchesThePublishedCounts) {
  const std::vector<std::pair<int64_t, std::vector<int64_t>>> expected = {
      {1024, {1936, 1877, 112}}, {2048, {3933, 3811, 163}}, {3072, {4096, 4030, 2048}}};
  for (const auto& [budget, counts] : expected) {
    const std::vector<int64_t> kept = tower(4096, 64, budget).kept("pyramid");
    EXPECT_EQ((std::vector<int64_t>{kept[0], kept[1], kept[31]}), counts) << budget;
    EXPECT_EQ(std::accumulate(kept.begin(), kept.end(), int64_t{0}), 32 * budget);
  }
}

TEST(PyramidTest, WholeNumbersAsPublishedMatchTheRunsOfChunkedEviction) {
  struct Row {
    int64_t slots, cap, first, last, step;
  };
  for (const Row& r : {Row{32768, 9830, 19108, 570, 598}, Row{8192, 819, 1537, 111, 46},
                       Row{1696, 508, 930, 93, 27}}) {
    const std::vector<int64_t> kept =
        tower(r.slots, 64, r.cap).kept("pyramid", {{"compat", "int"}});
    EXPECT_EQ(kept[0], r.first) << r.slots;
    EXPECT_EQ(kept[31], r.last) << r.slots;
    EXPECT_EQ(kept[0] - kept[1], r.step) << r.slots;
  }
  // A budget of more than half of the slots is shared evenly.
  const std::vector<int64_t> flat = tower(1000, 64, 700).kept("pyramid", {{"compat", "int"}});
  EXPECT_EQ(flat, std::vector<int64_t>(32, 700));
}

TEST(ChunkAllocatorTest, HeadsKeepTheSameGroupsAndTheBestOfTheNext) {
  Contests c;
  //          group 0   group 1   group 2, a short one
  c.add(0, 0, {1, 1, 1, 5, 0, 1, 3, 2}, 5);
  c.add(0, 1, {1, 1, 1, 4, 0, 1, 3, 4}, 5);
  // Means of the sums: 2, 11/3, 6. Group 2, then group 1.
  const auto allocator = make_allocator("chunk", {{"group", "3"}});
  EXPECT_EQ(allocator->allocate(c.heads, 1.0), (Selection{{3, 4, 5, 6, 7}, {3, 4, 5, 6, 7}}));
  for (HeadContest& h : c.heads) h.budget = 4;
  EXPECT_EQ(allocator->allocate(c.heads, 1.0), (Selection{{3, 5, 6, 7}, {3, 5, 6, 7}}));
  // Slot 0 is charged and in no group; groups are now 1-3, 4-6 and 7.
  for (HeadContest& h : c.heads) h.forced[0] = 1;
  EXPECT_EQ(allocator->allocate(c.heads, 1.0)[1], (Kept{0, 2, 3, 7}));
}

TEST(ChunkAllocatorTest, LayersMayReuseAChoice) {
  Contests c;
  for (int64_t l = 0; l < 3; ++l) {
    std::vector<float> s(6, 0.0F);
    s[2 * l] = 1.0F;
    c.add(l, 0, std::move(s), 2);
  }
  EXPECT_EQ(make_allocator("chunk", {{"group", "2"}, {"reuse", "2"}})->allocate(c.heads, 1.0),
            (Selection{{0, 1}, {0, 1}, {4, 5}}));
}

TEST(ChunkAllocatorTest, HeadsOfDifferentTokensAreRefused) {
  Contests c;
  c.add(0, 0, {1, 2, 3}, 2);
  c.add(0, 1, {1, 2}, 2);
  EXPECT_THROW(make_allocator("chunk")->allocate(c.heads, 1.0), InvalidArgument);
}

/// Ranking the marginal gains of error curves over all heads is water-filling: no other split of
/// the budget leaves less error.
TEST(ModelAllocatorTest, GainsOfErrorCurvesAreFilledLikeWater) {
  const auto split = [](const std::vector<std::vector<double>>& curves, int64_t budget) {
    Contests c;
    for (size_t h = 0; h < curves.size(); ++h) {
      const std::vector<double> gains = hull_gains(curves[h]);
      c.add(static_cast<int64_t>(h), 0, {gains.begin(), gains.end()}, budget);
    }
    for (HeadContest& h : c.heads) h.budget = budget / static_cast<int64_t>(curves.size());
    return c.kept("model");
  };
  EXPECT_EQ(split({{16, 8, 4, 2, 1}, {9, 6, 4, 3, 2.5}}, 4), (std::vector<int64_t>{3, 1}));
  Random random(23);
  for (int trial = 0; trial < 100; ++trial) {
    std::vector<std::vector<double>> curves(2);
    for (auto& curve : curves) {  // convex: every step gains less
      double gain = 8.0 + random.uniform(), error = 100.0;
      for (int i = 0; i < 9; ++i, gain *= random.uniform()) curve.push_back(error -= gain);
    }
    const std::vector<int64_t> got = split(curves, 8);
    double least = 1e9;
    for (size_t i = 0; i <= 8; ++i) least = std::min(least, curves[0][i] + curves[1][8 - i]);
    EXPECT_EQ(got[0] + got[1], 8);
    EXPECT_NEAR(curves[0][got[0]] + curves[1][got[1]], least, 1e-5);
  }
}

TEST(ThresholdTest, KeepsWhatScoresEnoughAndTheNewestUpToTheBudget) {
  Contests c;
  c.add(0, 0, {.9F, .1F, .6F, .2F, .0F}, 5);
  c.add(1, 0, {.1F, .7F, .2F, .3F, .8F}, 5);
  const auto allocator = make_allocator("threshold", {{"recent", "1"}, {"threshold", "0.5"}});
  EXPECT_EQ(allocator->allocate(c.heads, 1.0), (Selection{{0, 2, 4}, {1, 4}}));
  for (HeadContest& h : c.heads) h.budget = 1;
  EXPECT_EQ(allocator->allocate(c.heads, 1.0), (Selection{{0}, {4}}));
}

TEST(NormStopTest, StopsWhenTheNormIsCarried) {
  Contests c;
  c.add(0, 0, {.5F, .3F, .1F, .06F, .03F, .01F}, 6);
  EXPECT_EQ(make_allocator("norm-stop")->allocate(c.heads, 1.0), (Selection{{0, 1, 2}}));
  c.heads[0].budget = 2;
  EXPECT_EQ(make_allocator("norm-stop")->allocate(c.heads, 1.0), (Selection{{0, 1}}));
}

TEST(AllocatorTest, UnknownNamesAndOptionsAreRefused) {
  EXPECT_THROW(make_allocator("best"), InvalidArgument);
  EXPECT_THROW(make_allocator("adakv", {{"safe", "2"}}), InvalidArgument);
  EXPECT_THROW(make_allocator("uniform", {{"safe", "0.1"}}), InvalidArgument);
  for (const AllocatorEntry& e : allocator_registry()) EXPECT_NO_THROW(e.make({})) << e.name;
}

}  // namespace
}  // namespace limbeck
