// Allocators that keep or drop heads and layers as wholes.
#include "limbeck/base/error.h"
#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/contests_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::Contests;

std::vector<int64_t> sizes(const Selection& s) {
  std::vector<int64_t> out;
  for (const auto& slots : s) out.push_back(static_cast<int64_t>(slots.size()));
  return out;
}

TEST(HeadAllocatorTest, AsManyWholeHeadsAsTheBudgetHasRoomFor) {
  Contests c;
  for (int64_t h = 0; h < 4; ++h) {
    c.add(h / 2, h % 2, std::vector<float>(10, 0.0F), 5);
    c.heads[h].forced[0] = c.heads[h].forced[9] = 1;
  }
  const double weights[] = {.2, .9, .5, .9};
  for (int64_t h = 0; h < 4; ++h) c.heads[h].weight = weights[h];
  const auto head = make_allocator("head");
  EXPECT_EQ(head->table(), TableUse::order);
  // 10 n + 2 (4 - n) <= 20: one whole head, the first of the equal ones.
  Selection s = head->allocate(c.heads, 1.0);
  EXPECT_EQ(sizes(s), (std::vector<int64_t>{2, 10, 2, 2}));
  EXPECT_EQ(s[0], (std::vector<int32_t>{0, 9}));
  for (HeadContest& h : c.heads) h.budget = 6;
  EXPECT_EQ(sizes(head->allocate(c.heads, 1.0)), (std::vector<int64_t>{2, 10, 2, 10}));
  for (HeadContest& h : c.heads) h.budget = 10;
  EXPECT_EQ(sizes(head->allocate(c.heads, 1.0)), (std::vector<int64_t>{10, 10, 10, 10}));
}

/// Layer 0 looks at first and newest tokens alone, layer 1 everywhere.
Contests lazy_contests(int64_t budget) {
  Contests c;
  for (int64_t h = 0; h < 2; ++h) c.add(0, h, {.5F, .02F, .01F, .02F, .01F, .04F, .4F}, budget);
  for (int64_t h = 0; h < 2; ++h) c.add(1, h, {.2F, .1F, .2F, .1F, .1F, .1F, .2F}, budget);
  return c;
}

TEST(LazyAllocatorTest, LazyLayersKeepFirstAndNewestTokens) {
  const auto lazy = make_allocator("lazy", {{"recent", "2"}, {"sinks", "1"}, {"threshold", "0.9"}});
  const Selection s = lazy->allocate(lazy_contests(7).heads, 1.0);
  EXPECT_EQ(s[0], (std::vector<int32_t>{0, 5, 6}));
  EXPECT_EQ(sizes(s), (std::vector<int64_t>{3, 3, 7, 7}));
  // A threshold that no layer passes keeps everything that the budget has room for.
  const auto never =
      make_allocator("lazy", {{"recent", "2"}, {"sinks", "1"}, {"threshold", "0.99"}});
  EXPECT_EQ(sizes(never->allocate(lazy_contests(7).heads, 1.0)),
            (std::vector<int64_t>{7, 7, 7, 7}));
}

TEST(LazyAllocatorTest, TheBudgetIsAnUpperBound) {
  const auto lazy =
      make_allocator("lazy", {{"recent", "2"}, {"sinks", "1"}, {"threshold", "0.99"}});
  // 20 slots: the layer that comes closest to the threshold goes first.
  EXPECT_EQ(sizes(lazy->allocate(lazy_contests(5).heads, 1.0)), (std::vector<int64_t>{3, 3, 7, 7}));
  EXPECT_EQ(sizes(lazy->allocate(lazy_contests(3).heads, 1.0)), (std::vector<int64_t>{3, 3, 3, 3}));
  EXPECT_EQ(sizes(lazy->allocate(lazy_contests(2).heads, 1.0)), (std::vector<int64_t>{2, 2, 2, 2}));
  const Selection one = lazy->allocate(lazy_contests(1).heads, 1.0);
  EXPECT_EQ(one[0], (std::vector<int32_t>{0}));
  EXPECT_EQ(sizes(one), (std::vector<int64_t>{1, 1, 1, 1}));
}

TEST(LazyAllocatorTest, ScoresThatAreNoAttentionAreRefused) {
  Contests c;
  c.add(0, 0, {-1, 2}, 1);
  EXPECT_THROW(make_allocator("lazy")->allocate(c.heads, 1.0), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
