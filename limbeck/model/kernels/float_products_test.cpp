#include "limbeck/model/kernels/float_products.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

#include <cmath>

namespace limbeck {
namespace {

class FloatProductsTest : public KernelTest {};
LIMBECK_ALL_PATHS(FloatProductsTest);

TEST_P(FloatProductsTest, EqualTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(47);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 20; ++round) {
    const int64_t rows = static_cast<int64_t>(random.below(70)),
                  width = kFloatPanel * (1 + static_cast<int64_t>(random.below(4)));
    SCOPED_TRACE(fmt::format("[{}, {}]", rows, width));
    const std::vector<float> x = normal_floats(rows * width, random),
                             y = normal_floats(rows * width, random);
    std::vector<double> fast(static_cast<size_t>(width * width), 0.5), slow = fast;
    float_gram(x.data(), y.data(), rows, width, fast.data());
    float_gram_reference(x.data(), y.data(), rows, width, slow.data());
    for (int64_t i = 0; i < width; ++i)
      for (int64_t j = 0; j < width; ++j)
        if (j >= i) {
          EXPECT_NEAR(fast[i * width + j], slow[i * width + j], 2e-5);
        } else if (j < i / kFloatPanel * kFloatPanel) {
          EXPECT_EQ(fast[i * width + j], 0.5);  // below the diagonal's panels: as it was
        }

    std::vector<float> w = normal_floats(width * width, random);
    for (int64_t i = 0; i < width; ++i)
      for (int64_t j = 0; j < i; ++j) w[i * width + j] = 0;
    std::vector<float> got(static_cast<size_t>(rows) + 1, -1.0F), want = got;
    float_row_norms(x.data(), rows, width, w.data(), got.data());
    float_row_norms_reference(x.data(), rows, width, w.data(), want.data());
    for (int64_t r = 0; r < rows; ++r) EXPECT_NEAR(got[r], want[r], 1e-5 * std::abs(want[r]));
    EXPECT_EQ(got[rows], -1.0F);
  }
}

TEST_P(FloatProductsTest, DotsEqualTheReference) {
  const uint64_t seed = test_seed(48);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 24; ++round) {
    // Depths on both sides of a round's, and of a vector's.
    const int64_t rows = static_cast<int64_t>(random.below(12)),
                  depth = 1 + static_cast<int64_t>(random.below(round % 3 == 0 ? 5000 : 40)),
                  count = 1 + round % kFloatDots;
    SCOPED_TRACE(fmt::format("[{}, {}] and {}", rows, depth, count));
    const std::vector<float> all = normal_floats((rows + count) * depth, random);
    std::vector<const float*> x, y;
    for (int64_t i = 0; i < rows + count; ++i) (i < rows ? x : y).push_back(&all[i * depth]);
    std::vector<double> got(static_cast<size_t>(rows * count) + 1, -1.0), want = got;
    FloatDots dots{x.data(), rows, y.data(), count, depth, got.data()};
    float_dots(dots);
    dots.out = want.data();
    float_dots_reference(dots);
    for (int64_t i = 0; i < rows * count; ++i)
      EXPECT_NEAR(got[i], want[i], 1e-14 + 1e-15 * static_cast<double>(depth)) << i;
    EXPECT_EQ(got[rows * count], -1.0);
  }
}

}  // namespace
}  // namespace limbeck
