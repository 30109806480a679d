#include "limbeck/eval/lm_metrics.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace limbeck {
namespace {

at::Tensor log_rows(const std::vector<double>& probabilities, int64_t rows) {
  return at::tensor(probabilities, at::kDouble).view({rows, -1}).log().to(at::kFloat);
}

/// Three positions of a vocabulary of three, computed by hand.
LmPositions by_hand() {
  LmPositions out;
  add_lm_rows(log_rows({.7, .2, .1, .1, .6, .3, .25, .25, .5}, 3),
              log_rows({.6, .3, .1, .2, .3, .5, .25, .25, .5}, 3), std::vector<int32_t>{0, 1, 2},
              out);
  return out;
}

TEST(LmMetricsTest, PositionsHaveTheFormulasValues) {
  const LmPositions p = by_hand();
  ASSERT_EQ(p.kl.size(), 3U);
  EXPECT_NEAR(p.kl[0], .026812454, 1e-6);
  EXPECT_NEAR(p.kl[1], .193325903, 1e-6);
  EXPECT_EQ(p.kl[2], 0);
  EXPECT_NEAR(p.dp[0], -.1, 1e-6);
  EXPECT_NEAR(p.dp[1], -.3, 1e-6);
  EXPECT_EQ(p.dp[2], 0);
  EXPECT_EQ(p.agree, (std::vector<double>{1, 0, 1}));
}

TEST(LmMetricsTest, MeansAndQuantilesHaveTheFormulasValues) {
  const auto m = lm_metrics(by_hand());
  EXPECT_NEAR(m.at("kl"), .073379452, 1e-6);
  EXPECT_NEAR(m.at("kl_50"), .026812454, 1e-6);
  EXPECT_NEAR(m.at("kl_max"), .193325903, 1e-6);
  EXPECT_NEAR(m.at("nll_full"), .520215916, 1e-6);
  EXPECT_NEAR(m.at("nll"), .802648536, 1e-6);
  EXPECT_NEAR(std::exp(m.at("nll_full")), 1.682390866, 2e-6);
  EXPECT_NEAR(std::exp(m.at("nll")), 2.231443167, 2e-6);
  EXPECT_NEAR(std::exp(m.at("ln_ratio")), 1.326352403, 2e-6);
  EXPECT_NEAR(m.at("dp_mean"), -.133333333, 1e-6);
  EXPECT_NEAR(m.at("dp_rms"), .182574186, 1e-6);
  EXPECT_NEAR(m.at("dp_25"), -.2, 1e-6);
  EXPECT_NEAR(m.at("dp_75"), -.05, 1e-6);
  EXPECT_NEAR(m.at("top1"), 2.0 / 3, 1e-12);
  LmPositions five;
  five.kl = {.5, .01, .08, .02, .04};
  five.nll_full = five.nll_other = five.dp = five.agree = std::vector<double>(5, 0.0);
  const auto q = lm_metrics(five);
  EXPECT_NEAR(q.at("kl_50"), .04, 1e-12);
  EXPECT_NEAR(q.at("kl_90"), .332, 1e-12);
  EXPECT_NEAR(q.at("kl_95"), .416, 1e-12);
  EXPECT_NEAR(q.at("kl_99"), .4832, 1e-12);
}

TEST(LmMetricsTest, DistancesBeginBehindTheCut) {
  LmPositions p;
  for (int64_t distance = 1; distance < 300; ++distance)
    p.kl.push_back(static_cast<double>(distance));
  p.nll_full = p.nll_other = p.dp = p.agree = std::vector<double>(p.kl.size(), 0.0);
  const auto m = lm_metrics(p);
  EXPECT_EQ(m.at("kl [1,16)"), 8);
  EXPECT_EQ(m.at("kl_max [1,16)"), 15);
  EXPECT_EQ(m.at("kl [16,64)"), 39.5);
  EXPECT_EQ(m.at("kl_max [64,256)"), 255);
  EXPECT_EQ(m.at("kl [256,K)"), 277.5);
  p.kl.resize(15);
  EXPECT_FALSE(lm_metrics(p).contains("kl [16,64)"));
  EXPECT_TRUE(lm_metrics({}).empty());
}

TEST(LmMetricsTest, EqualDistributionsDifferByExactlyNothing) {
  LmPositions p;
  const at::Tensor rows = at::log_softmax(at::randn({40, 500}) * 4, -1);
  add_lm_rows(rows, rows, std::vector<int32_t>(40, 7), p);
  const auto m = lm_metrics(p);
  EXPECT_EQ(m.at("kl_max"), 0);
  EXPECT_EQ(m.at("top1"), 1);
  EXPECT_EQ(m.at("dp_rms"), 0);
}

TEST(LmMetricsTest, ProbabilitiesThatUnderflowCountNothing) {
  LmPositions p;
  const float lowest = -std::numeric_limits<float>::infinity();
  add_lm_rows(at::tensor({0.0F, lowest}).view({1, 2}), at::tensor({-0.5F, -0.9F}).view({1, 2}),
              std::vector<int32_t>{0}, p);
  EXPECT_NEAR(p.kl[0], 0.5, 1e-12);
  const at::Tensor bad = at::tensor({0.0F, -1.0F}).view({1, 2});  // sums to more than 1
  EXPECT_THROW(add_lm_rows(log_rows({.5, .5}, 1), bad, std::vector<int32_t>{0}, p), NumericalError);
}

TEST(LmMetricsTest, BlocksSeeWhatOnePassSees) {
  const Model model = random_model(test::small_spec(), DType::f32, 7);
  KvCache full = model.new_cache();
  prefill(model, full, test::random_tokens(30, 1));
  KvCache other = model.new_cache(), whole = model.new_cache(), whole_other = model.new_cache();
  prefill(model, other, test::random_tokens(30, 2));
  prefill(model, whole, test::random_tokens(30, 1));
  prefill(model, whole_other, test::random_tokens(30, 2));
  const auto text = test::random_tokens(kLmBlock + 9, 3);
  const LmPositions p = lm_positions(model, full, other, text);
  ASSERT_EQ(p.kl.size(), text.size() - 1);
  ForwardOptions all;
  all.logits = LogitsWanted::all;
  const std::span<const int32_t> fed = std::span<const int32_t>(text).first(text.size() - 1);
  LmPositions expected;
  add_lm_rows(at::log_softmax(model.forward(whole, fed, all).logits, -1),
              at::log_softmax(model.forward(whole_other, fed, all).logits, -1),
              std::span<const int32_t>(text).subspan(1), expected);
  for (size_t i = 0; i < p.kl.size(); ++i) {
    EXPECT_NEAR(p.kl[i], expected.kl[i], 1e-4);
    EXPECT_NEAR(p.nll_other[i], expected.nll_other[i], 1e-3);
    EXPECT_NEAR(p.nll_full[i], expected.nll_full[i], 1e-3);
  }
  EXPECT_THROW(lm_positions(model, full, other, std::vector<int32_t>{1}), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
