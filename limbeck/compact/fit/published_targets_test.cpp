#include "limbeck/compact/fit/published_targets.h"

#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/synthetic_heads.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

HeadProblem problem(bool biased) {
  Random random(biased ? 3 : 4);
  HeadProblem p;
  p.queries = 2 * test::normal({700, 32}, random);  // several blocks of rows
  p.keys = test::normal({90, 32}, random);
  p.values = test::normal({90, 32}, random);
  p.scale = 0.2;
  if (biased) p.bias = test::normal({90}, random);
  return p;
}

TEST(PublishedTargetsTest, AreTheirFormulas) {
  for (const bool biased : {false, true}) {
    const HeadProblem p = problem(biased);
    at::Tensor s = at::mm(p.queries.to(at::kDouble), p.keys.to(at::kDouble).t()) * p.scale;
    if (biased) s += p.bias;
    const at::Tensor kept = at::tensor({3, 4, 40, 89}, at::kLong);
    const PublishedTargets t = published_targets(p, kept);
    const at::Tensor top = s.amax(1);
    const auto near = [](const at::Tensor& a, const at::Tensor& b) {
      return at::allclose(a.to(at::kDouble), b, 1e-5, 1e-5);
    };
    EXPECT_TRUE(near(t.logits, s.index_select(1, kept)));
    EXPECT_TRUE(near(t.top, top));
    EXPECT_TRUE(near(t.mass, (s - top.unsqueeze(1)).exp().sum(1)));
    EXPECT_TRUE(near(t.lse, s.logsumexp(1)));
    EXPECT_TRUE(near(t.outputs, at::mm(s.softmax(1), p.values.to(at::kDouble))));
  }
}

TEST(PublishedTargetsTest, ComeFromTheFeaturesOfAPursuitAsWell) {
  for (const bool biased : {false, true}) {
    HeadProblem p = problem(biased);
    if (biased) p.weights = at::linspace(0.3, 2.0, 700);
    const PublishedTargets want = published_targets(p, [](const at::Tensor&, int64_t) {});
    at::Tensor top;
    const at::Tensor features = max_features(p, &top);
    const HeadAttention got = as_seen(targets_of_features(p, features, top));
    EXPECT_TRUE(at::allclose(got.top, want.top, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(got.mass, want.mass, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(got.lse, want.lse, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(got.outputs, want.outputs, 1e-4, 1e-5));
    EXPECT_TRUE(at::equal(got.part, at::ones({700})));
  }
}

/// What a scorer has left beforehand is what the fit would have computed.
TEST(PublishedTargetsTest, KnownOnesServeTheFit) {
  for (const bool biased : {false, true}) {
    HeadProblem p = problem(biased);
    FitOptions o;
    o.weights = "literal";
    o.low = 1e-12;
    o.high = std::exp(7.0);
    o.values = "ls";
    const std::vector<int32_t> kept = {0, 3, 4, 17, 40, 55, 89};
    const FitResult want = fit_head(p, kept, {}, o);
    at::Tensor sum = at::zeros({90}, at::kDouble);
    int64_t rows = 0;
    const PublishedTargets t = published_targets(p, [&](const at::Tensor& a, int64_t first) {
      EXPECT_EQ(first, rows);
      rows += a.size(0);
      sum += a.sum(0);
    });
    EXPECT_EQ(rows, 700);
    EXPECT_NEAR(sum.sum().item<double>(), 700, 1e-3);
    EXPECT_FALSE(t.logits.defined());
    p.outputs = t.outputs;
    p.lse = t.lse;
    p.top = t.top;
    p.mass = t.mass;
    const FitResult got = fit_head(p, kept, {}, o);
    EXPECT_TRUE(at::allclose(got.bias, want.bias, 1e-4, 1e-4));
    EXPECT_TRUE(at::allclose(got.values, want.values, 1e-3, 1e-3));
    EXPECT_NEAR(got.output_error, want.output_error, 1e-5);
    EXPECT_NEAR(got.mass_error, want.mass_error, 1e-5);
  }
}

}  // namespace
}  // namespace limbeck
