#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace limbeck {
namespace {

TEST(RandomTest, StateZeroGivesThePublishedOutputs) {
  Random random(0);
  EXPECT_EQ(random(), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(random(), 0x6e789e6aa1b965f4ULL);
  EXPECT_EQ(random(), 0x06c45d188009454fULL);
}

TEST(RandomTest, CounterFormEqualsTheSequence) {
  Random random(42);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(random(), splitmix64_at(42, i));
}

TEST(RandomTest, NamedStreamMatchesItsVectors) {
  Random random(fnv1a64("42|niah_single_1|4096|0"));
  EXPECT_EQ(fnv1a64("42|niah_single_1|4096|0"), 0x7ffcbdf6f9ccb30dULL);
  std::vector<int> v(10);
  std::iota(v.begin(), v.end(), 0);
  for (size_t i = v.size() - 1; i >= 1; --i) std::swap(v[i], v[random.below(i + 1)]);
  EXPECT_EQ(v, (std::vector<int>{3, 8, 1, 4, 9, 7, 0, 6, 2, 5}));
  Random again(fnv1a64("42|niah_single_1|4096|0"));
  EXPECT_DOUBLE_EQ(again.uniform(), 0.5891531124925793);
}

TEST(RandomTest, NormalHasTheMomentsOfANormal) {
  Random random(7);
  double sum = 0, square = 0;
  constexpr int n = 200000;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    sum += x;
    square += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.01);
  EXPECT_NEAR(square / n, 1.0, 0.02);
}

}  // namespace
}  // namespace limbeck
