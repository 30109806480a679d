#include "limbeck/eval/tasks/length_fill.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

TEST(LengthFillTest, FindsTheLargestThatFitsWithFewCalls) {
  Random random(4);
  for (int round = 0; round < 500; ++round) {
    const FillSteps steps = {1 + static_cast<int64_t>(random.below(20)),
                             1 + static_cast<int64_t>(random.below(9)),
                             30 + static_cast<int64_t>(random.below(2000))};
    const auto max = static_cast<int64_t>(random.below(3000));
    std::set<int64_t> asked;
    const auto found = largest_fitting(steps, max, [&](int64_t x) {
      EXPECT_TRUE(asked.insert(x).second);
      EXPECT_LE(x, steps.cap);
      return std::optional<int64_t>(2 * x + 7);
    });
    EXPECT_LE(asked.size(), 26U);
    std::optional<int64_t> expected;
    for (int64_t x = steps.first; x <= steps.cap && 2 * x + 7 <= max; x += steps.step) expected = x;
    EXPECT_EQ(found, expected);
  }
}

TEST(LengthFillTest, HandlesSizesWithoutACap) {
  const auto found =
      largest_fitting({3, 5}, 1000, [](int64_t x) { return std::optional<int64_t>(x); });
  EXPECT_EQ(found, 998);
}

TEST(LengthFillTest, TakesMissingMaterialForTooLong) {
  const auto length_of = [](int64_t x) {
    return x > 50 ? std::nullopt : std::optional<int64_t>(x);
  };
  EXPECT_EQ(largest_fitting({10, 10}, 1000, length_of), 50);
  EXPECT_EQ(fit_sample({10, 10}, 1000, 80, 10, length_of), 50);
}

TEST(LengthFillTest, SampleShrinksAndGrowsIntoTheWindow) {
  Random random(5);
  for (int round = 0; round < 500; ++round) {
    const auto tokens = static_cast<int64_t>(5 + random.below(20));  // of one step
    const auto base = static_cast<int64_t>(random.below(100));
    const auto start = static_cast<int64_t>(10 * (1 + random.below(120)));
    const auto length = [&](int64_t x) { return base + x / 10 * tokens; };
    int64_t last = 0;
    const auto x = fit_sample({10, 10}, 1000, start, 12, [&](int64_t size) {
      if (length(size) <= 1000) last = size;
      return std::optional<int64_t>(length(size));
    });
    ASSERT_TRUE(x);
    EXPECT_EQ(*x, last);
    EXPECT_LE(length(*x), 1000);
    EXPECT_GE(length(*x), 1000 - std::max<int64_t>(24, tokens));
  }
}

// Sizes below what must be there in any case all have the same length.
TEST(LengthFillTest, FewTriesAreEnoughWhereLengthsAreFlatAtFirst) {
  int64_t calls = 0;
  const auto x = fit_sample({2, 2}, 1000, 2, 0, [&](int64_t size) {
    ++calls;
    return std::optional<int64_t>(size <= 10 ? 700 : 700 + 60 * (size - 10));
  });
  EXPECT_EQ(x, 14);
  EXPECT_LT(calls, 20);
}

TEST(LengthFillTest, SaysWhenNothingFits) {
  const auto length_of = [](int64_t x) { return std::optional<int64_t>(100 + x); };
  EXPECT_EQ(largest_fitting({10, 10}, 100, length_of), std::nullopt);
  EXPECT_EQ(fit_sample({10, 10}, 100, 40, 10, length_of), std::nullopt);
}

}  // namespace
}  // namespace limbeck
