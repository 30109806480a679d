#include "limbeck/base/error.h"
#include "limbeck/compact/fit/closed_form_head.h"
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/row_features.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/fit/weights.h"
#include "limbeck/compact/fit/wpc.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <set>

namespace limbeck {
namespace {

using test::closed_form_head;
using test::head_errors;
using test::HeadErrors;
using test::normal;
using test::synthetic_head;
using test::SyntheticHead;

void expect_values(const at::Tensor& got, const std::vector<double>& want, double tolerance) {
  const at::Tensor flat = got.to(at::kDouble).contiguous().view({-1});
  ASSERT_EQ(flat.numel(), static_cast<int64_t>(want.size()));
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(), want[i], tolerance) << "at " << i;
}

TEST(FitOracleTest, GramAndItsIdentities) {
  const HeadProblem p = closed_form_head();
  const at::Tensor g = attention_gram(p, 3);
  expect_values(g * 256, {73, 29, 43, 35, 28, 29, 31, 44, 23, 17, 43, 44, 90,
                          61, 50, 35, 23, 61, 53, 36, 28, 17, 50, 36, 45},
                2e-5);
  expect_values(g.sum(1), {.8125, .5625, 1.125, .8125, .6875}, 1e-6);
  const WpcTargets t = wpc_targets(*dense_gram(g), p.values, 0.3);
  EXPECT_NEAR(t.energy, 1.5445215, 2e-6);
}

TEST(FitOracleTest, WpcOrderGainsAndEnergies) {
  const HeadProblem p = closed_form_head();
  const auto gram = dense_gram(attention_gram(p));
  const WpcTargets targets = wpc_targets(*gram, p.values, 0.3);
  // First gains: ||H_j||^2 / G_jj.
  expect_values(targets.h.square().sum(1) / gram->diagonal(),
                {.4018043, .0930789, .1715581, .1498319, .2767491}, 1e-6);
  WpcOptions o;
  o.limit = 5;
  for (const WpcOrder& r : {wpc(*gram, targets, o), wpc_plain(*gram, targets, o)}) {
    ASSERT_EQ(r.order.size(), 4u);  // rank 4
    EXPECT_TRUE(r.rank_reached);
    EXPECT_EQ(r.order[0], 0);
    EXPECT_EQ(r.order[1], 4);
    EXPECT_EQ(r.order[2], 3);
    const double wanted[] = {1.5445215, 1.1427172, .4561639, .1669503, 0};
    for (int k = 0; k < 5; ++k) EXPECT_NEAR(r.energy[k] * 4, wanted[k], 3e-6) << k;
  }
}

TEST(FitOracleTest, WeightsBiasesAndValues) {
  const HeadProblem p = closed_form_head();
  const std::vector<int32_t> kept = {0, 4};
  FitOptions o;
  o.lm_steps = 0;
  o.rho = 1e-2;
  FitResult r = fit_head(p, kept, {}, o);
  expect_values(r.bias, {.5721603, 1.0326422}, 2e-6);
  EXPECT_NEAR(r.mass_error, .5550915, 2e-6);
  expect_values(r.values.narrow(1, 0, 2), {.1040621, -1.2798339, .1698044, .6670950}, 3e-6);
  o.rho = 1e-12;
  expect_values(fit_head(p, kept, {}, o).values.narrow(1, 0, 2),
                {.1045201, -1.2810260, .1688827, .6683555}, 3e-6);
  o.rho = 1e12;  // the prior alone
  expect_values(fit_head(p, kept, {}, o).values.narrow(1, 0, 2),
                {.1254513, -1.2637635, .2514237, .5911162}, 3e-6);
  o.lm_steps = 1;
  r = fit_head(p, kept, {}, o);
  expect_values(r.bias, {1.0304951, 1.1651597}, 2e-6);
  EXPECT_NEAR(r.mass_error, .4709581, 2e-6);
  o.lm_steps = 3;
  r = fit_head(p, kept, {}, o);
  expect_values(r.bias, {1.0958064, 1.0822020}, 2e-6);
  EXPECT_NEAR(r.mass_error, .4696896, 2e-6);
}

TEST(FitOracleTest, MatchingPursuits) {
  const HeadProblem p = closed_form_head();
  EXPECT_EQ(gomp(attention_gram(p), 2), (std::vector<int32_t>{2, 0}));
  const at::Tensor g = attention_gram(p);
  const at::Tensor index = at::tensor({2, 0}, at::kLong);
  const auto block = [&](const at::Tensor& m) {
    return m.to(at::kDouble).index_select(0, index).index_select(1, index);
  };
  expect_values(nnls_gram(block(g), g.to(at::kDouble).sum(1).index_select(0, index)),
                {2.5587799, 1.3420886}, 2e-6);
  // omega = M^2: the max metric.
  HeadProblem weighted = p;
  const at::Tensor m =
      at::tensor(std::vector<float>{2, 16.0F / 6, 16.0F / 6, 16.0F / 6}, at::kFloat);
  weighted.weights = m.square();
  const at::Tensor gm = attention_gram(weighted);
  EXPECT_EQ(gomp(gm, 2), (std::vector<int32_t>{2, 0}));
  expect_values(nnls_gram(block(gm), gm.to(at::kDouble).sum(1).index_select(0, index)),
                {2.5634987, 1.3269788}, 5e-6);
  const at::Tensor phi = max_features(p);
  OmpOptions o;
  o.limit = 2;
  EXPECT_EQ(omp_select(phi, o), (std::vector<int32_t>{2, 0}));
  EXPECT_EQ(omp_select_plain(phi, o), (std::vector<int32_t>{2, 0}));
  const Features f = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
  expect_values(f.a.square().mean(0).sqrt(), {.2670001, .1739926, .2964635, .2275034, .2096314},
                1e-6);
}

TEST(FitOracleTest, SmallCases) {
  // Two equal keys, one kept: it stands for both and holds their mean value.
  HeadProblem p;
  p.scale = 1.0;
  Random random(1);
  p.queries = normal({6, 3}, random);
  p.keys = normal({1, 3}, random).repeat({2, 1});
  p.values = normal({2, 3}, random);
  FitOptions o;
  FitResult r = fit_head(p, {0}, {}, o);
  EXPECT_NEAR(r.bias[0].item<double>(), .693147, 1e-5);
  EXPECT_LT((r.values[0] - p.values.mean(0)).abs().max().item<double>(), 1e-4);
  // Queries of zero: the weights sum to T.
  p.queries = at::zeros({5, 3}, at::kFloat);
  p.keys = normal({7, 3}, random);
  p.values = normal({7, 3}, random);
  r = fit_head(p, {1, 4, 6}, {}, o);
  EXPECT_NEAR(r.bias.exp().sum().item<double>(), 7, 1e-3);
  // Old biases count: logits 0, b = (ln 3, 0), the first slot stands for mass 4.
  p.keys = at::zeros({2, 3}, at::kFloat);
  p.values = normal({2, 3}, random);
  p.bias = at::tensor(std::vector<float>{std::log(3.0F), 0}, at::kFloat);
  r = fit_head(p, {0}, {}, o);
  EXPECT_NEAR(r.bias[0].item<double>(), 1.386294, 1e-5);
}

TEST(OmpTest, MaxFeaturesAreThoseOfTheFormula) {
  for (uint64_t seed = 80; seed < 83; ++seed) {
    HeadProblem p = synthetic_head(seed, 0.5, 70, 210, 1, 16).train;
    Random random(seed);
    const auto off = [&] {
      return (max_features(p) - max_features_plain(p)).abs().max().item<double>();
    };
    EXPECT_LT(off(), 1e-5);
    p.weights = normal({210}, random).abs();
    p.weights[7] = 0.0;
    EXPECT_LT(off(), 1e-5);
    p.bias = normal({70}, random) * 3;
    p.bias[11] = -std::numeric_limits<float>::infinity();
    EXPECT_LT(off(), 1e-5);
    EXPECT_EQ(max_features(p)[11].max().item<float>(), 0.0F);
    p.top = attention_logits(p.queries, p.keys, p.bias, p.scale).amax(1);
    EXPECT_LT(off(), 1e-5);
  }
}

/// Errors of output and mass fall with t; WPC <= OMP <= HAK.
TEST(FitQualityTest, MethodsRankAsMeasured) {
  HeadErrors last{1e9, 1e9};
  for (int64_t t : {64, 128, 256}) {
    HeadErrors by_wpc{}, by_omp{}, by_hak{};
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const SyntheticHead head =
          synthetic_head(40 + seed, seed % 2 == 0 ? 0.35 : 0.6, 1024, 2048, 512);
      const HeadProblem& p = head.train;
      const auto add = [&](HeadErrors& sum, std::vector<int32_t> kept, const FitOptions& o) {
        std::sort(kept.begin(), kept.end());
        const FitResult r = fit_head(p, kept, {}, o);
        const HeadErrors e = head_errors(head.test, kept, r.bias, r.values);
        sum.output += e.output;
        sum.mass += e.mass;
      };
      const at::Tensor g = attention_gram(p);
      const auto gram = dense_gram(g);
      WpcOptions o;
      o.limit = t;
      add(by_wpc, wpc(*gram, wpc_targets(*gram, p.values, 0.3), o).order, {});
      FitOptions literal;
      literal.weights = "literal";
      literal.values = "ls";
      literal.high = std::exp(7.0);
      OmpOptions omp;
      omp.limit = t;
      add(by_omp, omp_select(max_features(p), omp), literal);
      const at::Tensor rms = std::get<1>(g.diagonal().topk(t));
      const std::vector<int32_t> top = [&] {
        const at::Tensor i = rms.to(at::kInt).contiguous();
        return std::vector<int32_t>(i.const_data_ptr<int32_t>(), i.const_data_ptr<int32_t>() + t);
      }();
      literal.iterations = 2;
      literal.low = std::exp(-3.0);
      literal.high = std::exp(3.0);
      add(by_hak, top, literal);
    }
    EXPECT_LT(by_wpc.output, by_omp.output) << t;
    EXPECT_LT(by_omp.output, by_hak.output) << t;
    EXPECT_LT(by_wpc.mass, by_omp.mass) << t;
    // A weight of matching pursuit may be next to nothing, which costs at many slots.
    EXPECT_LT(by_omp.mass, (t < 256 ? 1.0 : 1.05) * by_hak.mass) << t;
    EXPECT_LT(by_wpc.output, last.output);
    EXPECT_LT(by_wpc.mass, last.mass);
    last = by_wpc;
  }
}

TEST(OmpTest, GrowingSolvesEqualThePlainLoopAndTheGramForm) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const SyntheticHead head = synthetic_head(60 + seed, 0.5, 200, 600, 1, 32);
    const at::Tensor phi = max_features(head.train);
    OmpOptions o;
    o.limit = 40;
    const auto literal = omp_select(phi, o);
    EXPECT_EQ(literal, omp_select_plain(phi, o));
    // The Gram form agrees until ties or a negative weight.
    const at::Tensor g = at::mm(phi, phi.t());
    const auto gram_form = gomp(g, 12);
    EXPECT_TRUE(std::equal(gram_form.begin(), gram_form.begin() + 8, literal.begin())) << seed;
    o.pace = {{INT64_MAX, 4, 2}};
    EXPECT_EQ(omp_select(phi, o), omp_select_plain(phi, o));
    o.pace = {{3, 1, 1}, {INT64_MAX, 2, 2}};
    o.weights.low = 0.05;  // weights that are not fitted yet count
    EXPECT_EQ(omp_select(phi, o), omp_select_plain(phi, o));
  }
}

TEST(OmpTest, TheGramFormFromTheWeightsBeforeEqualsFitsFromTheStart) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SyntheticHead head = synthetic_head(90 + seed, 0.5, 150, 500, 1, 32);
    at::Tensor phi = max_features(head.train).to(at::kDouble);
    // Two slots alike, and one that nothing sees.
    phi[3].copy_(phi[90]);
    phi[5].zero_();
    const at::Tensor g = at::mm(phi, phi.t());
    const auto order = gomp(g, 120), plain = gomp_plain(g, 120);
    ASSERT_EQ(order.size(), 120u);
    EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), 120u);
    EXPECT_TRUE(std::equal(order.begin(), order.begin() + 40, plain.begin())) << seed;
    // Behind that gains are so small that rounding may decide; what is left is not.
    const auto left = [&](const std::vector<int32_t>& set) {
      const at::Tensor index = at::tensor(std::vector<int64_t>(set.begin(), set.end()), at::kLong);
      const at::Tensor sums = g.sum(1).index_select(0, index);
      const at::Tensor w = nnls_gram(g.index_select(0, index).index_select(1, index), sums);
      return (phi.sum(0) - at::mv(phi.index_select(0, index).t(), w)).norm().item<double>();
    };
    EXPECT_NEAR(left(order), left(plain), 1e-3 * phi.sum(0).norm().item<double>()) << seed;
  }
}

TEST(OmpTest, CopiesAndGradientStepsTakeTheReferencesWay) {
  at::Tensor phi = max_features(synthetic_head(71, 0.6, 80, 300, 1, 16).train);
  phi[11].copy_(phi[40]);
  phi[12].copy_(phi[40]);
  OmpOptions o;
  o.limit = 30;
  o.pace = {{INT64_MAX, 4, 2}};
  o.drop = false;
  const auto set = omp_select(phi, o);
  EXPECT_EQ(set.size(), 30u);
  EXPECT_EQ(std::set<int32_t>(set.begin(), set.end()).size(), 30u);
  phi = max_features(synthetic_head(72, 0.6, 80, 300, 1, 16).train);
  o.weights.iterations = 2;
  EXPECT_EQ(omp_select(phi, o), omp_select_plain(phi, o));
  // Features that are not contiguous.
  EXPECT_EQ(omp_select(phi.t().contiguous().t(), o), omp_select(phi, o));
}

TEST(OmpTest, DroppedSlotsStayBanned) {
  const SyntheticHead head = synthetic_head(70, 0.6, 100, 300, 1, 16);
  OmpOptions o;
  o.limit = 60;
  o.drop_cutoff = 0.5;  // absurdly high: most slots fall
  const at::Tensor phi = max_features(head.train);
  const auto kept = omp_select(phi, o);
  EXPECT_EQ(kept, omp_select_plain(phi, o));
  o.drop = false;
  const auto first = omp_select(phi, o);
  // What fell first never comes back.
  const at::Tensor target = phi.sum(0, false, at::kDouble);
  const auto log_weights = [&](const std::vector<int32_t>& set) {
    const at::Tensor index = at::tensor(std::vector<int64_t>(set.begin(), set.end()), at::kLong);
    return literal_weights_plain(phi.index_select(0, index).to(at::kDouble).t(), target, o.weights)
        .log();
  };
  const at::Tensor w = log_weights(first);
  int64_t fallen = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    if (w[static_cast<int64_t>(i)].item<double>() >= o.drop_cutoff) continue;
    ++fallen;
    EXPECT_EQ(std::count(kept.begin(), kept.end(), first[i]), 0) << first[i];
  }
  EXPECT_GT(fallen, 0);
  EXPECT_LE(kept.size(), 60u);
  std::vector<int32_t> sorted = kept;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
}

TEST(NnlsTest, MatchesAProjectedGradientSolution) {
  Random random(12);
  for (int trial = 0; trial < 20; ++trial) {
    const at::Tensor a = normal({60, 12}, random).to(at::kDouble);
    const at::Tensor b = normal({60}, random).to(at::kDouble);
    const at::Tensor g = at::mm(a.t(), a), target = at::mv(a.t(), b);
    const at::Tensor w = nnls_gram(g, target);
    at::Tensor slow = at::zeros({12}, at::kDouble);
    const double step = 1.0 / g.norm().item<double>();
    for (int i = 0; i < 20000; ++i)
      slow = (slow - step * (at::mv(g, slow) - target)).clamp_min(0.0);
    EXPECT_LT((w - slow).abs().max().item<double>(), 1e-5) << trial;
  }
}

TEST(NnlsTest, ExchangesStopEarlyAndEndAtTheSolution) {
  Random random(13);
  for (int trial = 0; trial < 10; ++trial) {
    const at::Tensor a = normal({80, 20}, random).to(at::kDouble);
    const at::Tensor b = normal({80}, random).to(at::kDouble);
    const at::Tensor g = at::mm(a.t(), a), target = at::mv(a.t(), b);
    const auto loss = [&](const at::Tensor& w) { return (at::mv(a, w) - b).norm().item<double>(); };
    const at::Tensor exact = nnls_gram(g, target);
    EXPECT_LT((nnls_gram(g, target, 200) - exact).abs().max().item<double>(), 1e-3);
    for (int64_t exchanges : {0, 1, 3}) {
      const at::Tensor w = nnls_gram(g, target, exchanges);
      EXPECT_GE(w.min().item<double>(), 0.0);
      EXPECT_GE(loss(w), loss(exact) - 1e-9);
    }
    EXPECT_LT(loss(nnls_gram(g, target, 3)), 1.05 * loss(exact));
  }
}

TEST(FitTest, StepsOfLargeHeadsStayCloseToTheExactOnes) {
  for (uint64_t seed : {84, 85}) {
    const SyntheticHead head = synthetic_head(seed, 0.5, 400, 1200, 600, 32);
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 400; j += 3) kept.push_back(j);
    FitOptions exact, cheap;
    cheap.large = 100;
    const FitResult a = fit_head(head.train, kept, {}, exact),
                    b = fit_head(head.train, kept, {}, cheap);
    const test::HeadErrors ea = head_errors(head.test, kept, a.bias, a.values),
                           eb = head_errors(head.test, kept, b.bias, b.values);
    EXPECT_LT(eb.output, 1.1 * ea.output);
    EXPECT_LT(eb.mass, 1.25 * ea.mass);
  }
}

TEST(FitTest, BlocksOfSlotsStayCloseToAllAtOnce) {
  for (uint64_t seed : {86, 87, 88}) {
    const SyntheticHead head = synthetic_head(seed, 0.5, 600, 1200, 400);
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 600; j += 3) kept.push_back(j);
    FitOptions o;
    o.values = "local";
    o.lm_steps = 0;  // which blocks do not take
    const FitResult all = fit_head(head.train, kept, {}, o);
    o.joint = 64;
    const FitResult blocks = fit_head(head.train, kept, {}, o);
    const at::Tensor index = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
    const test::HeadErrors ea = head_errors(head.test, kept, all.bias, all.values),
                           eb = head_errors(head.test, kept, blocks.bias, blocks.values),
                           copied = head_errors(head.test, kept, at::zeros({200}),
                                                head.train.values.index_select(0, index));
    EXPECT_LT(eb.output, 1.1 * ea.output);
    EXPECT_LT(eb.mass, 1.2 * ea.mass);
    EXPECT_GT(copied.output, 1.15 * ea.output);
    EXPECT_GT(copied.mass, 1.5 * ea.mass);
  }
}

TEST(FitTest, BlocksChooseTheirRidgeOnRowsThatWereHeldOut) {
  const SyntheticHead head = synthetic_head(85, 0.5, 300, 240, 200, 32);
  std::vector<int32_t> kept(150);
  for (int32_t i = 0; i < 150; ++i) kept[i] = 2 * i;
  std::vector<uint8_t> held(240, 0);
  for (size_t i = 0; i < held.size(); ++i) held[i] = i % 4 == 1 ? 1 : i % 4 == 3 ? 2 : 0;
  FitOptions o;
  o.values = "local";
  o.joint = 64;
  o.rho = 0;
  const FitResult chosen = fit_head(head.train, kept, held, o);
  // Of the three ridges the one that the deciding rows like best, found here from outside.
  std::vector<int64_t> deciding;
  for (int64_t i = 0; i < 240; ++i)
    if (held[i] == 1) deciding.push_back(i);
  const HeadProblem judge = head.train.rows(at::tensor(deciding, at::kLong));
  double best = INFINITY;
  FitResult wanted;
  for (const double rho : {1e-3, 1e-2, 1e-1}) {
    o.rho = rho;
    FitResult r = fit_head(head.train, kept, held, o);
    const double error = head_errors(judge, kept, r.bias, r.values).output;
    if (error < best) {
      best = error;
      wanted = std::move(r);
    }
  }
  EXPECT_TRUE(at::equal(chosen.values, wanted.values));
  EXPECT_TRUE(at::equal(chosen.bias, wanted.bias));
}

TEST(FitTest, PublishedFitsAreTheirFormulas) {
  for (const bool weighted : {false, true}) {
    HeadProblem p = synthetic_head(130, 0.5, 150, 700, 1, 32).train;
    Random random(131);
    p.bias = normal({150}, random) * 0.3;
    if (weighted) p.weights = normal({700}, random).square_().add_(0.1);
    const std::vector<int32_t> kept = {3, 9, 20, 41, 60, 77, 90, 101, 120, 149};
    const at::Tensor index = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
    FitOptions o;
    o.weights = "literal";
    o.values = "ls";
    o.iterations = 2;
    o.low = 0.05;
    o.high = 20;
    const FitResult r = fit_head(p, kept, {}, o);

    const at::Tensor s = (at::mm(p.queries.to(at::kDouble), p.keys.to(at::kDouble).t()) * p.scale)
                             .add_(p.bias.to(at::kDouble));
    const at::Tensor root =
        (weighted ? p.weights : at::ones({700})).to(at::kDouble).sqrt().unsqueeze(1);
    const at::Tensor phi = (s - s.amax(1, true)).exp() * root;
    const at::Tensor beta =
        literal_weights_plain(phi.index_select(1, index), phi.sum(1), {o.iterations, o.low, o.high})
            .log();
    const at::Tensor x = (s.index_select(1, index) + beta).softmax(1) * root;
    const at::Tensor y = at::mm(s.softmax(1), p.values.to(at::kDouble)) * root;
    EXPECT_LT((r.bias - p.bias.index_select(0, index) - beta).abs().max().item<double>(), 1e-3);
    const at::Tensor want = least_squares_plain(x, y);
    EXPECT_LT((at::mm(x, r.values.to(at::kDouble)) - at::mm(x, want)).abs().max().item<double>(),
              1e-3 * y.abs().max().item<double>());
  }
}

TEST(FitTest, EverySlotKeptGivesBackTheHead) {
  const SyntheticHead head = synthetic_head(80, 0.6, 24, 400, 100, 16);
  std::vector<int32_t> all(24);
  std::iota(all.begin(), all.end(), 0);
  FitOptions o;
  o.rho = 1e-9;
  const FitResult r = fit_head(head.train, all, {}, o);
  EXPECT_LT(r.bias.abs().max().item<double>(), 2e-3);  // w = 1
  EXPECT_LT((r.values - head.train.values).abs().max().item<double>(),
            1e-2 * head.train.values.abs().max().item<double>());
  EXPECT_LT(r.mass_error, 1e-4);
  EXPECT_LT(head_errors(head.test, all, r.bias, r.values).output, 1e-3);
}

TEST(FitTest, LmNeverRaisesTheTrainingErrorOfTheMass) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SyntheticHead head = synthetic_head(90 + seed, 0.5, 200, 600, 1, 32);
    std::vector<int32_t> kept;
    for (int32_t j = 0; j < 200; j += 9) kept.push_back(j);
    FitOptions o;
    double last = 1e9;
    for (int64_t steps : {0, 1, 2, 4}) {
      o.lm_steps = steps;
      const double error = fit_head(head.train, kept, {}, o).mass_error;
      EXPECT_LE(error, last + 1e-6);
      last = error;
    }
  }
}

TEST(FitTest, WithoutQueriesThereIsNoFit) {
  HeadProblem p = closed_form_head();
  p.queries = p.queries.narrow(0, 0, 0);
  EXPECT_THROW(fit_head(p, {0}, {}, {}), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
