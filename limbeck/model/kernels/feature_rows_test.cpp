#include "limbeck/model/kernels/feature_rows.h"

#include "limbeck/model/kernels/kernel_testing.h"

namespace limbeck {
namespace {

class FeatureRowsTest : public KernelTest {};
LIMBECK_FLOAT_PATHS(FeatureRowsTest);

TEST_P(FeatureRowsTest, WeighedFeaturesEqualTheReference) {
  const uint64_t seed = test_seed(61);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = special_size(random, 130), columns = special_size(random, 300);
    SCOPED_TRACE(testing::Message() << rows << " x " << columns);
    std::vector<float> got = normal_floats(rows * columns, random, 8), want = got;
    const std::vector<float> bias = normal_floats(columns, random),
                             shift = normal_floats(rows, random, 3),
                             factor = normal_floats(rows, random);
    std::vector<double> squares(columns, -1), squares_want(columns, -1);
    WeighFeatures f{
        rows,         columns,       got.data(),    0.3F, random.below(2) ? bias.data() : nullptr,
        shift.data(), factor.data(), squares.data()};
    weigh_features(f);
    f.x = want.data();
    f.squares = squares_want.data();
    weigh_features_reference(f);
    EXPECT_LT(relative_error(got.data(), want.data(), rows * columns), kF32Tolerance);
    for (int64_t j = 0; j < columns; ++j)
      EXPECT_NEAR(squares[j], squares_want[j], 1e-5 * squares_want[j]);
  }
}

TEST_P(FeatureRowsTest, LogitsFarBelowTheMassGiveZero) {
  std::vector<float> x = {-1e30F, -INFINITY, 0.0F};
  const float shift = 0, factor = 2;
  std::vector<double> squares(3);
  weigh_features({1, 3, x.data(), 1.0F, nullptr, &shift, &factor, squares.data()});
  EXPECT_EQ(x[0], 0);
  EXPECT_EQ(x[1], 0);
  EXPECT_FLOAT_EQ(x[2], 2);
  EXPECT_EQ(squares[0], 0);
}

TEST_P(FeatureRowsTest, TurnedFeaturesEqualTheReference) {
  const uint64_t seed = test_seed(62);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = special_size(random, 130), columns = special_size(random, 300),
                  padded = (rows + 31) / 32 * 32;
    SCOPED_TRACE(testing::Message() << rows << " x " << columns);
    const std::vector<float> x = normal_floats(rows * columns, random);
    std::vector<Bf16> got(columns * padded, Bf16{0xffff}), want = got;
    std::vector<double> squares(columns, -1), squares_want(columns, -1);
    turn_features({rows, columns, x.data(), got.data(), padded, squares.data()});
    turn_features_reference({rows, columns, x.data(), want.data(), padded, squares_want.data()});
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].bits, want[i].bits);
    for (int64_t j = 0; j < columns; ++j)
      EXPECT_NEAR(squares[j], squares_want[j], 1e-5 * squares_want[j]);
  }
}

TEST_P(FeatureRowsTest, TurnedSpecialNumbersRoundAsOneByOne) {
  std::vector<float> x = {NAN,         INFINITY,    -INFINITY, 3.4e38F,
                          1.00390625F, 1.01171875F, -0.0F,     1e-40F};
  const auto rows = static_cast<int64_t>(x.size());
  std::vector<Bf16> got(rows);
  double squares = 0;
  turn_features({rows, 1, x.data(), got.data(), rows, &squares});
  for (int64_t i = 0; i < rows; ++i) EXPECT_EQ(got[i].bits, to_bf16(x[i]).bits) << x[i];
}

}  // namespace
}  // namespace limbeck
