#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/fit/weights.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

using test::normal;
using test::synthetic_head;

/// A and what it gives in f32, with a last column too small for its own square.
struct UnreadColumn {
  at::Tensor g, sums;
};
UnreadColumn with_unread_column(int64_t rows, int64_t columns, Random& random) {
  at::Tensor a = normal({rows, columns + 1}, random).abs_();
  a.select(1, columns).mul_(1e-25F);
  const at::Tensor g = at::mm(a.t(), a);
  EXPECT_EQ(g[columns][columns].item<float>(), 0);
  EXPECT_GT(g[columns][0].item<float>(), 0);
  return {g.to(at::kDouble), a.sum(0).to(at::kDouble)};
}

TEST(UnreadSlotTest, NnlsGivesTheOthersWhatTheyGetWithoutIt) {
  Random random(3);
  for (const int64_t exchanges : {kNnlsExact, int64_t{3}}) {
    const auto [g, sums] = with_unread_column(60, 12, random);
    const at::Tensor without =
        nnls_gram(g.narrow(0, 0, 12).narrow(1, 0, 12), sums.narrow(0, 0, 12), exchanges);
    int64_t rescues = 0;
    const at::Tensor with = nnls_gram(g, sums, exchanges, &rescues);
    EXPECT_GT(without.max().item<double>(), 0.01);
    EXPECT_LT((with.narrow(0, 0, 12) - without).abs().max().item<double>(), 1e-6);
    EXPECT_EQ(with[12].item<double>(), 1);
    EXPECT_EQ(rescues, 0);
  }
}

TEST(UnreadSlotTest, PursuitsGoOnAroundIt) {
  Random random(4);
  const at::Tensor g = with_unread_column(60, 12, random).g;
  EXPECT_EQ(gomp(g, 13).size(), 12U);
  EXPECT_EQ(gomp(g, 13), gomp_plain(g, 13));
  // A slot that has no attention at all is never picked, even where it is all that is left to gain.
  at::Tensor phi = max_features(synthetic_head(72, 0.6, 40, 300, 1, 16).train).clone();
  phi[7].zero_();
  OmpOptions o;
  o.limit = 40;
  o.drop = false;
  const std::vector<int32_t> all = omp_select(phi, o);
  EXPECT_EQ(all.size(), 39U);
  EXPECT_EQ(std::count(all.begin(), all.end(), 7), 0);
  EXPECT_EQ(omp_select_plain(phi, o).size(), 39U);
}

TEST(UnreadSlotTest, AFitKeepsTheMassOfItsHead) {
  for (const std::string values : {"local", "prior"}) {
    HeadProblem p = synthetic_head(83, 0.5, 120, 400, 1, 16).train;
    FitOptions o;
    o.values = values;
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 120; j += 6) kept.push_back(j);
    // The other slots are as many without it: what is compared differs in the unread one alone.
    p.bias = at::zeros({120}, at::kFloat);
    p.bias[kept[4]] = -60.0F;
    std::vector<int32_t> others = kept;
    others.erase(others.begin() + 4);
    const FitResult with = fit_head(p, kept, {}, o), without = fit_head(p, others, {}, o);
    EXPECT_NEAR(with.mass_error, without.mass_error, 1e-3) << values;
    EXPECT_NEAR(with.output_error, without.output_error, 1e-3) << values;
    EXPECT_EQ(with.bias[4].item<float>(), -60.0F) << values;
    EXPECT_EQ(with.fallbacks.total(), 0) << values;
  }
}

TEST(FallbackTest, ASingularGramWalksToTheEigenvectorsAndSaysSo) {
  for (const std::string values : {"local", "prior"}) {
    HeadProblem p = synthetic_head(81, 0.5, 20, 100, 1, 8).train;
    p.queries = p.queries.narrow(0, 0, 1).repeat({50, 1});  // one query: rank 1
    FitOptions o;
    o.rho = 1e-300;
    o.values = values;
    const FitResult r = fit_head(p, {0, 3, 7, 9, 11}, {}, o);
    EXPECT_GT(r.fallbacks.ridge, 0) << values;
    EXPECT_GT(r.fallbacks.eigen, 0) << values;
    EXPECT_FALSE(r.held_out);
    EXPECT_TRUE(r.values.isfinite().all().item<bool>() && r.bias.isfinite().all().item<bool>());
    EXPECT_LE(r.values.abs().max().item<double>(), 10 * p.values.abs().max().item<double>());
    EXPECT_LT(r.output_error, 1e-3) << values;  // one query is easily pleased
  }
}

TEST(FallbackTest, WhatIsNotFiniteIsReplacedAndCounted) {
  HeadProblem p = synthetic_head(82, 0.5, 40, 100, 1, 8).train;
  p.values[3][0] = std::numeric_limits<float>::infinity();  // a slot that is not kept
  FitOptions o;
  o.values = "local";
  const FitResult r = fit_head(p, {0, 5, 9, 20}, {}, o);
  EXPECT_GT(r.fallbacks.prior, 0);
  EXPECT_GE(r.fallbacks.total(), r.fallbacks.prior);
  // What readers see is not finite either: the slots' own values.
  const std::vector<int64_t> kept = {0, 5, 9, 20};
  EXPECT_TRUE(at::equal(r.values, p.values.index_select(0, at::tensor(kept, at::kLong))));
}

/// Weights may be 0 where nothing bounds them, and have no logarithm.
TEST(FallbackTest, BiasesThatAreNotFiniteAreZero) {
  const HeadProblem p = synthetic_head(87, 0.5, 80, 200, 1, 8).train;
  std::vector<int32_t> kept;
  for (int32_t j = 0; j < 80; j += 2) kept.push_back(j);
  FitOptions o;
  o.weights = "literal";
  o.values = "ls";
  o.low = 0;
  const FitResult r = fit_head(p, kept, {}, o);
  EXPECT_EQ(r.fallbacks.bias, 1);
  EXPECT_EQ(r.bias.abs().max().item<float>(), 0.0F);
  EXPECT_TRUE(r.values.isfinite().all().item<bool>());
}

TEST(FallbackTest, ARowThatIsNoNumberLeavesFiniteSlots) {
  HeadProblem p = synthetic_head(87, 0.5, 40, 100, 1, 8).train;
  p.queries[5][0] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<int64_t> kept = {0, 5, 9, 20};
  for (const std::string values : {"local", "prior", "ls"}) {
    FitOptions o;
    o.weights = values == "ls" ? "literal" : "exact";
    o.values = values;
    const FitResult r = fit_head(p, {0, 5, 9, 20}, {}, o);
    EXPECT_TRUE(r.bias.isfinite().all().item<bool>()) << values;
    EXPECT_TRUE(at::equal(r.values, p.values.index_select(0, at::tensor(kept, at::kLong))))
        << values;
    EXPECT_GT(r.fallbacks.prior, 0) << values;
  }
}

/// Few rows, many slots and no ridge to speak of: a factor exists, and its values are absurd.
TEST(FallbackTest, ImplausibleValuesAreReplacedByThePrior) {
  for (const std::string values : {"local", "prior"}) {
    const HeadProblem p = synthetic_head(85, 0.5, 300, 140, 1, 16).train;
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 300; j += 2) kept.push_back(j);
    FitOptions o;
    o.values = values;
    o.rho = 1e-12;
    const FitResult r = fit_head(p, kept, {}, o);
    EXPECT_EQ(r.fallbacks.prior, 1) << values;
    EXPECT_EQ(r.fallbacks.eigen, 0) << values;
    EXPECT_LE(r.values.abs().max().item<double>(), 10 * p.values.abs().max().item<double>());
    o.rho = 1e12;  // the prior alone
    const FitResult prior = fit_head(p, kept, {}, o);
    EXPECT_EQ(prior.fallbacks.prior, 0) << values;
    EXPECT_TRUE(at::allclose(r.values, prior.values, 1e-4, 1e-5)) << values;
  }
}

/// Levenberg-Marquardt steps stay where rows that took no part in them agree.
TEST(HoldOutTest, StepsThatHeldOutRowsDoNotConfirmAreUndone) {
  int64_t undone = 0, kept_steps = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    HeadProblem p = synthetic_head(300 + seed, 0.6, 80, 120, 1, 8).train;
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 80; j += 2) kept.push_back(j);
    std::vector<uint8_t> held(120, 0);
    for (size_t i = 0; i < 60; ++i) held[i] = 1;
    FitOptions steps, linear;
    linear.lm_steps = 0;
    const at::Tensor a = fit_head(p, kept, held, steps).bias,
                     b = fit_head(p, kept, held, linear).bias;
    const std::vector<int64_t> rows(kept.begin(), kept.end());
    const at::Tensor index = at::tensor(rows, at::kLong);
    const at::Tensor logits =
        (p.scale * at::mm(p.queries, p.keys.t())).to(at::kDouble).narrow(0, 0, 60);
    const auto loss = [&](const at::Tensor& bias) {
      return (at::logsumexp(logits.index_select(1, index) + bias, 1) - at::logsumexp(logits, 1))
          .square()
          .sum()
          .item<double>();
    };
    EXPECT_LE(loss(a), loss(b) * (1 + 1e-5)) << seed;
    (at::equal(a, b) ? undone : kept_steps) += 1;
  }
  EXPECT_GT(undone, 0);
  EXPECT_GT(kept_steps, 0);
}

TEST(FallbackTest, KindsAddUp) {
  FitFallbacks sum{1, 2, 3, 4};
  sum += {10, 20, 30, 40};
  EXPECT_EQ(sum.total(), 110);
  EXPECT_EQ(sum.eigen, 22);
}

/// values=local by its formula: C0 = the mean output of a slot's readers, then a ridge around it.
TEST(LocalValuesTest, AreARidgeAroundTheMeanOutputOfTheReaders) {
  HeadProblem p = synthetic_head(84, 0.5, 90, 300, 1, 16).train;
  Random random(5);
  p.weights = normal({300}, random).abs_().add_(0.1F);
  const std::vector<int32_t> kept = {1, 8, 20, 33, 51, 77};
  for (const double rho : {0.05, 1e3}) {
    FitOptions o;
    o.values = "local";
    o.rho = rho;
    const FitResult r = fit_head(p, kept, {}, o);
    const at::Tensor index = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
    const at::Tensor logits = (at::mm(p.queries, p.keys.t()) * p.scale).to(at::kDouble);
    const at::Tensor y = at::mm(at::softmax(logits, 1), p.values.to(at::kDouble));
    const at::Tensor x = at::softmax(logits.index_select(1, index) + r.bias.to(at::kDouble), 1);
    const at::Tensor xw = x * p.weights.to(at::kDouble).unsqueeze(1);
    const at::Tensor prior = at::mm(xw.t(), y) / xw.sum(0).unsqueeze(1);
    const at::Tensor gram = at::mm(xw.t(), x);
    const double tau = gram.diagonal().mean().item<double>();
    const at::Tensor m = gram + rho * tau * at::eye(6, at::kDouble);
    const at::Tensor want = prior + at::linalg_solve(m, at::mm(xw.t(), y - at::mm(x, prior)));
    const double off = (r.values.to(at::kDouble) - want).abs().max().item<double>();
    EXPECT_LT(off, 2e-4 * want.abs().max().item<double>()) << rho;
    const double from_prior = (want - prior).abs().max().item<double>();
    if (rho > 1)
      EXPECT_LT(from_prior, 1e-2);
    else
      EXPECT_GT(from_prior, 1e-2);
  }
}

}  // namespace
}  // namespace limbeck
