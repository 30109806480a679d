#include "limbeck/eval/fidelity.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

TEST(FidelityTest, KlOfTwoCoinsIsTheFormulas) {
  const at::Tensor p = at::tensor({0.75F, 0.25F}, at::kFloat).view({1, 2}).log();
  const at::Tensor q = at::tensor({0.5F, 0.5F}, at::kFloat).view({1, 2}).log();
  const std::vector<int32_t> target = {1};
  const Fidelity f = compare_log_probs(p, q, target);
  EXPECT_NEAR(f.kl, 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_NEAR(f.nll_full, std::log(4.0), 1e-6);
  EXPECT_NEAR(f.nll_other, std::log(2.0), 1e-6);
  EXPECT_EQ(f.top1, 1.0);
}

TEST(FidelityTest, DivergencesOfRowsAreExact) {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor p = at::tensor({0.75F, 0.25F, 1.0F, 0.0F}, at::kFloat).view({2, 2}).log();
  const std::vector<double> same = row_divergences(p, p);
  EXPECT_EQ(same, (std::vector<double>{0, 0}));  // also where a probability is 0
  const at::Tensor none = at::tensor({-inf, 0.0F, -inf, 0.0F}, at::kFloat).view({2, 2});
  EXPECT_EQ(row_divergences(p, none)[0], std::numeric_limits<double>::infinity());
  EXPECT_THROW(row_divergences(p, at::full({2, 2}, 1.0F)), NumericalError);
}

TEST(FidelityTest, EqualCachesDoNotDifferAndComeBackUnchanged) {
  const Model model = random_model(test::small_spec(), DType::f32, 7);
  KvCache a = model.new_cache();
  prefill(model, a, test::random_tokens(30, 1));
  a.seal();
  KvCache b = a.clone();
  const KvCache before = a.clone();
  const auto prompt = test::random_tokens(9, 2), scored = test::random_tokens(12, 3);
  const Fidelity f = compare_caches(model, a, b, prompt, scored);
  EXPECT_EQ(f.kl, 0.0);
  EXPECT_EQ(f.tokens, 12);
  EXPECT_EQ(compare_caches(model, a, b, {}, scored).tokens, 11);
  EXPECT_TRUE(cache_equal(a, before) && cache_equal(b, before));
  EXPECT_THROW(compare_caches(model, a, b, {}, std::vector<int32_t>{1}), InvalidArgument);
}

TEST(FidelityTest, ScoresThePredictionsOfTheScoredTokens) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 7);
  KvCache a = model.new_cache(), whole = model.new_cache();
  const auto text = test::random_tokens(20, 1), prompt = test::random_tokens(6, 2),
             scored = test::random_tokens(5, 3);
  model.forward(a, text);
  std::vector<int32_t> all = text;
  all.insert(all.end(), prompt.begin(), prompt.end());
  all.insert(all.end(), scored.begin(), scored.end());
  const at::Tensor logits = model.forward(whole, all, {.logits = LogitsWanted::all}).logits;
  const at::Tensor expected = at::log_softmax(logits.narrow(0, 25, 5), -1);
  EXPECT_LT((scored_log_probs(model, a, prompt, scored) - expected).abs().max().item<float>(),
            1e-4F);
}

TEST(FidelityTest, MeanWeighsByTokens) {
  const std::vector<Fidelity> parts = {{1.0, 1.0, 2.0, 3.0, 1}, {4.0, 0.0, 2.0, 3.0, 3}};
  const Fidelity f = mean_fidelity(parts);
  EXPECT_NEAR(f.kl, 13.0 / 4.0, 1e-12);
  EXPECT_NEAR(f.top1, 0.25, 1e-12);
  EXPECT_EQ(f.tokens, 4);
}

}  // namespace
}  // namespace limbeck
