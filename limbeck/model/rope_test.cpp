#include "limbeck/model/model_testing.h"
#include "limbeck/model/spec.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace limbeck {
namespace {

constexpr double kPi = std::numbers::pi;

double plain(double theta, int64_t j, int64_t dim) {
  return std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(dim));
}

void expect_close(const std::vector<float>& found, const std::vector<double>& want) {
  ASSERT_EQ(found.size(), want.size());
  for (size_t j = 0; j < want.size(); ++j)
    EXPECT_NEAR(found[j] / want[j], 1.0, 5e-7) << "frequency " << j;
}

TEST(RopeTest, PlainAndLinearFrequencies) {
  std::vector<double> want, slow;
  for (int64_t j = 0; j < 32; ++j) {
    want.push_back(plain(5e5, j, 64));
    slow.push_back(plain(5e5, j, 64) / 8.0);
  }
  expect_close(RopeSpec{.theta = 5e5}.inverse_frequencies(64), want);
  expect_close(
      RopeSpec{.type = RopeSpec::Type::linear, .theta = 5e5, .factor = 8}.inverse_frequencies(64),
      slow);
}

TEST(RopeTest, Llama3LeavesFastDividesSlowAndBlendsBetween) {
  const RopeSpec rope{.type = RopeSpec::Type::llama3,
                      .theta = 5e5,
                      .factor = 32,
                      .low_freq_factor = 1,
                      .high_freq_factor = 4,
                      .original_length = 8192};
  std::vector<double> want;
  int kept = 0, divided = 0, blended = 0;
  for (int64_t j = 0; j < 32; ++j) {
    const double f = plain(5e5, j, 64),
                 turns = 8192 * f / (2 * kPi);  // turns over the original length
    if (turns > 4) {
      want.push_back(f);
      ++kept;
    } else if (turns < 1) {
      want.push_back(f / 32);
      ++divided;
    } else {
      const double m = (turns - 1) / 3;
      want.push_back(m * f + (1 - m) * f / 32);
      ++blended;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(blended, 0);
  expect_close(rope.inverse_frequencies(64), want);
}

TEST(RopeTest, YarnRampsBetweenItsTwoDimensions) {
  const RopeSpec rope{
      .type = RopeSpec::Type::yarn, .theta = 1e6, .factor = 4, .original_length = 32768};
  // Dimension at which a frequency turns n times over the original length, in pairs of channels.
  const auto pair = [](double n) {
    return 64.0 * std::log(32768.0 / (2 * kPi * n)) / std::log(1e6);
  };
  const double low = std::floor(pair(32)), high = std::ceil(pair(1));
  std::vector<double> want;
  for (int64_t j = 0; j < 64; ++j) {
    const double t = std::min(1.0, std::max(0.0, (static_cast<double>(j) - low) / (high - low)));
    want.push_back(plain(1e6, j, 128) * (1 - t + t / 4));
  }
  expect_close(rope.inverse_frequencies(128), want);
  EXPECT_NEAR(rope.cos_sin_factor(), 0.1 * std::log(4.0) + 1.0, 1e-12);
}

TEST(RopeTest, AttentionFactorCanBeGiven) {
  EXPECT_DOUBLE_EQ((RopeSpec{.type = RopeSpec::Type::yarn,
                             .factor = 4,
                             .original_length = 9,
                             .attention_factor = 1.5})
                       .cos_sin_factor(),
                   1.5);
  EXPECT_DOUBLE_EQ((RopeSpec{.type = RopeSpec::Type::linear, .factor = 4}).cos_sin_factor(), 1.0);
}

TEST(RopeTest, DivisorsDivide) {
  const RopeSpec rope{.type = RopeSpec::Type::divisors, .theta = 100, .divisors = {1, 2, 8}};
  expect_close(rope.inverse_frequencies(6), {1.0, plain(100, 1, 6) / 2, plain(100, 2, 6) / 8});
}

TEST(RopeTest, CosAndSinBelongToThePositionAndCarryTheFactor) {
  ModelSpec spec = test::small_spec();
  spec.layers[1].rope = {
      .type = RopeSpec::Type::yarn, .theta = 1e4, .factor = 4, .original_length = 64};
  const Model model = random_model(spec, DType::f32, 1);
  const std::vector<int64_t> positions{0, 5, 999};
  const auto [cos, sin] = model.rope(1, positions);
  const double factor = 0.1 * std::log(4.0) + 1.0;
  ASSERT_EQ(cos.sizes(), (std::vector<int64_t>{3, spec.head_dim / 2}));
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < spec.head_dim / 2; ++j) {
      const double angle = static_cast<double>(positions[i]) * model.inverse_frequencies(1)[j];
      EXPECT_NEAR(cos[i][j].item<double>(), factor * std::cos(angle), 1e-4);
      EXPECT_NEAR(sin[i][j].item<double>(), factor * std::sin(angle), 1e-4);
    }
  const auto [c0, s0] = model.rope(0, positions);
  EXPECT_EQ(c0[0][0].item<float>(), 1.0F);
  EXPECT_EQ(s0[0][0].item<float>(), 0.0F);
}

}  // namespace
}  // namespace limbeck
