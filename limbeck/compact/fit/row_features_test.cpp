#include "limbeck/compact/fit/row_features.h"

#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/fit/wpc.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

constexpr int64_t kSlots = 90, kRows = 700;

HeadProblem random_head(uint64_t seed) {
  HeadProblem p = test::synthetic_head(seed, 0.5, kSlots, kRows, 1, 16).train;
  Random random(seed);
  p.weights = test::normal({kRows}, random).abs();
  p.bias = test::normal({kSlots}, random);
  return p;
}

double off(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).norm() / want.norm()).item<double>();
}
at::Tensor products(const at::Tensor& a, const at::Tensor& b) {
  return at::mm(a.t().to(at::kDouble), b.to(at::kDouble));
}

TEST(RowFeaturesTest, AllRowsGiveTheGramAndItsTargets) {
  const HeadProblem p = random_head(1);
  const auto gram = dense_gram(attention_gram(p));
  const WpcTargets want = wpc_targets(*gram, p.values, 0.3);
  for (const int64_t most : {kRows, 2 * kRows}) {
    const RowFeatures f = mixed_row_features(p, most, 0.3, 9);
    EXPECT_TRUE(f.a.equal(row_features(p, 0.3).a));
    EXPECT_LT(off(products(f.a, f.a), gram->times(at::eye(kSlots, at::kDouble))), 1e-5);
    EXPECT_LT(off(f.energy, gram->diagonal()), 1e-5);
    EXPECT_LT(off(products(f.a, f.targets), want.h), 1e-4);
    EXPECT_NEAR(f.targets.square().sum(at::kDouble).item<double>(), want.energy,
                1e-4 * want.energy);
    EXPECT_NEAR(f.total, want.total, 1e-5 * want.total);
  }
}

TEST(RowFeaturesTest, SumsOfRowsEstimateThem) {
  const uint64_t seed = 2;
  const HeadProblem p = random_head(seed);
  const RowFeatures all = row_features(p, 0.3);
  const at::Tensor g = products(all.a, all.a), h = products(all.a, all.targets);
  // Rows that fill neither the sums nor the blocks evenly; once more sums than a block has.
  for (const int64_t most : {64, 150, 300}) {
    constexpr int kRounds = 60;
    at::Tensor mean_g = at::zeros_like(g), mean_h = at::zeros_like(h);
    double one = 0;
    for (int i = 0; i < kRounds; ++i) {
      const RowFeatures f = mixed_row_features(p, most, 0.3, seed + 1 + static_cast<uint64_t>(i));
      ASSERT_EQ(f.a.size(0), most);
      EXPECT_LT(off(f.energy, all.energy), 1e-6);
      EXPECT_EQ(f.lam, all.lam);
      mean_g += products(f.a, f.a) / kRounds;
      mean_h += products(f.a, f.targets) / kRounds;
      one += off(products(f.a, f.a), g) / kRounds;
    }
    EXPECT_LT(off(mean_g, g), 0.25 * one) << most;
    EXPECT_LT(off(mean_h, h), 0.25) << most;
  }
  const RowFeatures a = mixed_row_features(p, 64, 0.3, 5), b = mixed_row_features(p, 64, 0.3, 5);
  EXPECT_TRUE(a.a.equal(b.a) && a.targets.equal(b.targets));
  EXPECT_FALSE(a.a.equal(mixed_row_features(p, 64, 0.3, 6).a));
}

TEST(RowFeaturesTest, ASlotThatOneRowReadsKeepsItsEnergy) {
  HeadProblem p = random_head(3);
  p.weights = at::ones({kRows});
  p.bias = at::Tensor();
  // Nobody reads the last slot but one row, which reads nothing else.
  p.queries = at::cat({p.queries, at::ones({kRows, 1})}, 1);
  at::Tensor extra = at::zeros({kSlots, 1});
  extra[kSlots - 1] = -1000.0;
  p.keys = at::cat({p.keys, extra}, 1);
  p.queries[123][p.queries.size(1) - 1] = -1.0;
  const at::Tensor last = mixed_row_features(p, 100, 0.3, 4).a.select(1, kSlots - 1);
  EXPECT_NEAR(last.square().sum().item<double>(), 1.0, 1e-5);
  EXPECT_EQ(last.count_nonzero().item<int64_t>(), 1);
}

}  // namespace
}  // namespace limbeck
