#include "limbeck/compact/selection.h"

#include "limbeck/base/random.h"
#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/contests_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

using test::Contests;

TEST(BudgetTest, MatchesThePublishedVectors) {
  EXPECT_EQ(kept_of_ratio(.29, 100), 29);
  EXPECT_EQ(kept_of_ratio(.57, 100), 57);
  EXPECT_EQ(kept_of_ratio(.3, 10), 3);
  EXPECT_EQ(kept_of_ratio(.05, 4096), 204);
  EXPECT_EQ(kept_of_ratio(.001, 100), 1);
  EXPECT_EQ(kept_of_ratio(.1, 10), 1);
  EXPECT_EQ(kept_of_ratio(1.0, 7), 7);
  EXPECT_EQ(kept_of_ratio(.5, 0), 0);
}

TEST(LargestRemainderTest, SharesSumToTheTotal) {
  EXPECT_EQ(largest_remainder(10, std::vector<double>{.333, .333, .334}),
            (std::vector<int64_t>{3, 3, 4}));
  EXPECT_EQ(largest_remainder(2, std::vector<double>{1, 1, 1, 1}),
            (std::vector<int64_t>{1, 1, 0, 0}));
  EXPECT_EQ(largest_remainder(5, std::vector<double>{0, 0}), (std::vector<int64_t>{3, 2}));
  Random random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> w(1 + random.below(9));
    for (double& x : w) x = random.uniform();
    const auto total = static_cast<int64_t>(random.below(500));
    const auto out = largest_remainder(total, w);
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), int64_t{0}), total);
  }
}

TEST(ShareBudgetsTest, CapsOverflowToOthersAndFloorsHold) {
  const std::vector<int64_t> caps = {10, 10, 10};
  EXPECT_EQ(share_budgets(10, std::vector<double>{.333, .333, .334}, 0, caps),
            (std::vector<int64_t>{3, 3, 4}));
  EXPECT_EQ(share_budgets(20, std::vector<double>{.9, .05, .05}, 0, caps),
            (std::vector<int64_t>{10, 5, 5}));
  EXPECT_EQ(share_budgets(40, std::vector<double>{.9, .1, 0}, 0, caps), caps);  // all capped
  EXPECT_EQ(share_budgets(7, std::vector<double>{1, 0, 0}, 4, caps),
            (std::vector<int64_t>{3, 2, 2}));  // floors of 4 do not fit
  EXPECT_EQ(share_budgets(5, std::vector<double>{0, 0, 0}, 0, caps),
            (std::vector<int64_t>{2, 2, 1}));
  EXPECT_EQ(share_budgets(3, std::vector<double>{1}, 0, std::vector<int64_t>{2}),
            (std::vector<int64_t>{2}));
  // Rounded once, at the end: 16 | 6.5 | 6.5 | 11.
  EXPECT_EQ(share_budgets(40, std::vector<double>{8, 1, 1, 2}, 2, std::vector<int64_t>(4, 16)),
            (std::vector<int64_t>{16, 7, 6, 11}));
  Random random(5);
  for (int trial = 0; trial < 300; ++trial) {
    const size_t n = 1 + random.below(8);
    std::vector<double> shares(n);
    std::vector<int64_t> limits(n);
    int64_t room = 0;
    for (size_t i = 0; i < n; ++i) {
      shares[i] = random.below(3) == 0 ? 0.0 : random.uniform();
      limits[i] = static_cast<int64_t>(random.below(40));
      room += limits[i];
    }
    const auto total = static_cast<int64_t>(random.below(200));
    const auto out = share_budgets(total, shares, static_cast<int64_t>(random.below(6)), limits);
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), int64_t{0}), std::min(total, room));
    for (size_t i = 0; i < n; ++i) EXPECT_LE(out[i], limits[i]);
  }
}

TEST(AllocatorTest, SlotsWithoutCandidacyAreLeftOutAndStagesHandOutTheirShare) {
  Contests c;
  c.add(0, 0, {1, kNoCandidate, kNoCandidate, 2}, 3);
  c.add(0, 1, {9, 8, 7, 6}, 3);
  for (const char* name : {"uniform", "model"}) {
    const Selection s = make_allocator(name)->allocate(c.heads, 1.0);
    EXPECT_EQ(s[0], (std::vector<int32_t>{0, 3})) << name;
  }
  EXPECT_EQ(make_allocator("model")->allocate(c.heads, 1.0)[1].size(), 4u);
  EXPECT_EQ(make_allocator("model")->allocate(c.heads, 0.5)[1].size(), 3u);
  EXPECT_EQ(make_allocator("uniform")->allocate(c.heads, 0.7)[1].size(), 2u);
}

TEST(CutSpanTest, PiecesCoverTheSpanAndAShortLastOneJoins) {
  EXPECT_EQ(cut_span({5, 105}, 0), (std::vector<PositionRange>{{5, 105}}));
  EXPECT_EQ(cut_span({0, 100}, 40), (std::vector<PositionRange>{{0, 40}, {40, 80}, {80, 100}}));
  EXPECT_EQ(cut_span({0, 90}, 40), (std::vector<PositionRange>{{0, 40}, {40, 90}}));
  EXPECT_EQ(cut_span({0, 10}, 40), (std::vector<PositionRange>{{0, 10}}));
}

TEST(TopSlotsTest, TiesGoToTheLaterPosition) {
  Contests c;
  c.add(0, 0, {1, 2, 2, 2, 0}, 2);
  EXPECT_EQ(top_slots(c.heads[0], 2), (std::vector<int32_t>{2, 3}));
  c.heads[0].forced[4] = 1;
  EXPECT_EQ(top_slots(c.heads[0], 2), (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(top_slots(c.heads[0], 9), (std::vector<int32_t>{0, 1, 2, 3, 4}));
}

TEST(UniformAllocatorTest, EveryHeadKeepsItsOwnBudget) {
  Contests c;
  c.add(0, 0, {9, 1, 8, 2}, 2);
  c.add(0, 1, {.1F, .2F, .3F, .4F}, 3);
  const Selection s = make_allocator("uniform")->allocate(c.heads, 1.0);
  EXPECT_EQ(s[0], (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(s[1], (std::vector<int32_t>{1, 2, 3}));
}

TEST(ModelAllocatorTest, RanksOverEverythingAndMayLeaveAHeadEmpty) {
  Contests c;
  c.add(0, 0, {9, 7, 8, 6}, 2);
  c.add(1, 0, {1, 2, 3, 4}, 2);
  const Selection s = make_allocator("model")->allocate(c.heads, 1.0);
  EXPECT_EQ(s[0], (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(s[1].empty());
}

TEST(ModelAllocatorTest, EqualScoresKeepTheNewestTokens) {
  Contests c;
  for (int l = 0; l < 2; ++l)
    for (int h = 0; h < 2; ++h) c.add(l, h, std::vector<float>(5, 1.0F), 2);
  for (const auto& kept : make_allocator("model")->allocate(c.heads, 1.0))
    EXPECT_EQ(kept, (std::vector<int32_t>{3, 4}));
}

TEST(AllocatorTest, TotalsAreExactAndForcedSlotsStay) {
  Random random(11);
  for (int trial = 0; trial < 100; ++trial) {
    Contests c;
    const size_t count = 1 + random.below(6);
    for (size_t h = 0; h < count; ++h) {
      std::vector<float> s(1 + random.below(30));
      for (float& x : s) x = static_cast<float>(random.below(5));  // many ties
      const auto n = static_cast<int64_t>(s.size());
      c.add(static_cast<int64_t>(h / 2), static_cast<int64_t>(h % 2), std::move(s),
            1 + static_cast<int64_t>(random.below(n)));
    }
    int64_t total = 0;
    for (HeadContest& h : c.heads) {
      for (int64_t i = 0, most = h.budget / 2; i < most; ++i) h.forced[random.below(h.size())] = 1;
      total += h.budget;
    }
    for (const char* name : {"uniform", "model", "adakv", "layer", "pyramid"}) {
      const Selection s = make_allocator(name)->allocate(c.heads, 1.0);
      int64_t kept = 0;
      for (size_t h = 0; h < s.size(); ++h) {
        EXPECT_TRUE(std::is_sorted(s[h].begin(), s[h].end()));
        EXPECT_EQ(std::adjacent_find(s[h].begin(), s[h].end()), s[h].end());
        for (int64_t i = 0; i < c.heads[h].size(); ++i) {
          if (c.heads[h].forced[i] == 0) continue;
          EXPECT_TRUE(std::binary_search(s[h].begin(), s[h].end(), static_cast<int32_t>(i)));
        }
        kept += static_cast<int64_t>(s[h].size());
      }
      EXPECT_EQ(kept, total) << name;
    }
  }
}

}  // namespace
}  // namespace limbeck
