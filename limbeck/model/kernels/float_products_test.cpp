#include "limbeck/model/kernels/float_products.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace limbeck {
namespace {

class FloatProductsTest : public KernelTest {};
LIMBECK_ALL_PATHS(FloatProductsTest);

TEST_P(FloatProductsTest, LargeGramMatricesEqualTheReference) {
  Random random(test_seed(48));
  for (const auto& [rows, width] : {std::pair{530, 288}, {140, 544}, {129, 512}}) {
    const std::vector<float> x = normal_floats(int64_t{rows} * width, random);
    std::vector<double> fast(static_cast<size_t>(width) * width, 0.5), slow = fast;
    float_gram(x.data(), x.data(), rows, width, fast.data());
    float_gram_reference(x.data(), x.data(), rows, width, slow.data());
    double most = 0;
    for (int64_t i = 0; i < width; ++i)
      for (int64_t j = i; j < width; ++j)
        most = std::max(most, std::abs(fast[i * width + j] - slow[i * width + j]));
    EXPECT_LT(most, 3e-4) << rows << " x " << width;
  }
}

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

    std::vector<double> vector;
    for (int64_t l = 0; l < depth; ++l) vector.push_back(random.normal());
    got.assign(static_cast<size_t>(rows) + 1, -1.0);
    want = got;
    float_dots(x.data(), rows, vector.data(), depth, got.data());
    float_dots_reference(x.data(), rows, vector.data(), depth, want.data());
    for (int64_t i = 0; i < rows; ++i)
      EXPECT_NEAR(got[i], want[i], 1e-14 + 1e-15 * static_cast<double>(depth)) << i;
    EXPECT_EQ(got[rows], -1.0);
  }
}

TEST_P(FloatProductsTest, TheRestEqualsTheReference) {
  const uint64_t seed = test_seed(50);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 24; ++round) {
    // Depths on both sides of a round's, and of a vector's.
    const int64_t rows = static_cast<int64_t>(random.below(20)),
                  depth = 1 + static_cast<int64_t>(random.below(round % 3 == 0 ? 3000 : 40));
    SCOPED_TRACE(fmt::format("[{}, {}]", rows, depth));
    const std::vector<float> all = normal_floats(rows * depth, random);
    std::vector<const float*> x;
    std::vector<double> weights, got, want;
    for (int64_t i = 0; i < rows; ++i) {
      x.push_back(&all[i * depth]);
      weights.push_back(random.normal());
    }
    for (int64_t l = 0; l <= depth; ++l) got.push_back(random.normal());
    want = got;
    float_rest({x.data(), weights.data(), rows, depth, got.data()});
    float_rest_reference({x.data(), weights.data(), rows, depth, want.data()});
    for (int64_t l = 0; l <= depth; ++l) EXPECT_NEAR(got[l], want[l], 1e-13) << l;
  }
}

TEST_P(FloatProductsTest, ColumnsEqualTheReference) {
  const uint64_t seed = test_seed(49);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 12; ++round) {
    // Depths and numbers of columns on both sides of a run's and of a round's.
    const int64_t depth = 1 + static_cast<int64_t>(random.below(round % 3 == 0 ? 1700 : 300)),
                  columns = 1 + static_cast<int64_t>(random.below(100)),
                  count = static_cast<int64_t>(random.below(round % 2 == 0 ? 120 : 8));
    SCOPED_TRACE(fmt::format("{} columns of [{}, {}]", count, depth, columns));
    const std::vector<float> b = normal_floats(depth * columns, random);
    const int64_t panels = (columns + kFloatPanel - 1) / kFloatPanel;
    std::vector<float> packed(static_cast<size_t>(panels * depth * kFloatPanel), NAN);
    float_pack(b.data(), depth, columns, packed.data());
    std::vector<int64_t> index(static_cast<size_t>(count));
    for (int64_t& j : index) j = static_cast<int64_t>(random.below(static_cast<uint64_t>(columns)));
    std::vector<double> got(static_cast<size_t>(count * columns) + 1, -1.0), want = got;
    FloatColumns c{packed.data(), depth, columns, index.data(), count, got.data()};
    float_columns(c);
    c.out = want.data();
    float_columns_reference(c);
    for (int64_t i = 0; i < count * columns; ++i) {
      ASSERT_NEAR(got[i], want[i], 1e-4 + 2e-6 * std::abs(want[i])) << i;
      double sum = 0;  // of B itself, not as it was packed
      for (int64_t r = 0; r < depth; ++r)
        sum +=
            static_cast<double>(b[r * columns + index[i / columns]]) * b[r * columns + i % columns];
      ASSERT_NEAR(want[i], sum, 1e-9) << i;
    }
    EXPECT_EQ(got.back(), -1.0);
  }
}

}  // namespace
}  // namespace limbeck
