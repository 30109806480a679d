#include "limbeck/compact/score/fixture_testing.h"
#include "limbeck/compact/score/noncausal.h"
#include "limbeck/compact/score/own_attention.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::expect_fixture;
using test::fixture_slots;
using test::fixture_top;

/// Scores of the fixture by a scorer of own queries, in a contest that protects `recent` slots.
at::Tensor fixture_scores(const std::string& scorer, const OptionTexts& options, int64_t recent,
                          int64_t budget = 4) {
  const LayerSegment slots = fixture_slots();
  const OwnQueries own{0, 0, 0.5, test::fixture_queries()};
  const std::vector<int64_t> budgets(2, budget);
  std::vector<uint8_t> forced(24, 0);
  for (int64_t i = 12 - recent; i < 12; ++i) forced[i] = forced[12 + i] = 1;
  ScoreInput in = test::fixture_input(slots);
  in.own = &own;
  in.recent = recent;
  in.budgets = budgets;
  in.forced = forced;
  at::Tensor out = at::empty({24}, at::kFloat);
  make_scorer(scorer, options)->score(in, out);
  return out;
}

void expect_near(const at::Tensor& got, int64_t first, const std::vector<float>& expected) {
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(got[first + static_cast<int64_t>(i)].item<float>(), expected[i], 2e-6) << i;
}

std::vector<uint8_t> one_window() { return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}; }

TEST(OwnScorerFixtureTest, H2oMatchesAsMeanAndAsSum) {
  expect_fixture("h2o", {}, {{11.033887, {0, 4, 6, 9}}, {12.621556, {5, 6, 7, 8}}});
  expect_fixture("h2o", {{"form", "sum"}}, {{56.113646, {0, 1, 2, 4}}, {61.461264, {0, 1, 2, 8}}});
}

TEST(OwnScorerFixtureTest, SageMatches) {
  expect_fixture("sage", {}, {{8.560993, {4, 8, 9, 10}}, {7.835450, {6, 8, 9, 10}}});
}

TEST(OwnScorerFixtureTest, TovaMatchesAndIsTheSameForEveryHead) {
  const at::Tensor s = fixture_scores("tova", {}, 1);
  for (const int64_t head : {0, 1})
    expect_near(s, 12 * head,
                {.044141F, .042363F, .031102F, .031914F, .045444F, .058165F, .058349F, .053340F,
                 .147744F, .307464F, .127010F, .052965F});
}

TEST(OwnScorerFixtureTest, SnapkvMatches) {
  // A small budget protects two slots: then two look, whatever the window.
  for (const char* window : {"2", "64"}) {
    const at::Tensor s = fixture_scores("snapkv", {{"window", window}, {"pool", "3"}}, 2);
    expect_near(s, 0,
                {.035455F, .046419F, .041860F, .049169F, .047847F, .036750F, .022821F, .061425F,
                 .192791F, .185067F});
    EXPECT_EQ(fixture_top(s, 0, 4, one_window()), (std::vector<int32_t>{8, 9, 10, 11}));
    EXPECT_EQ(fixture_top(s, 1, 4, one_window()), (std::vector<int32_t>{7, 8, 10, 11}));
    EXPECT_EQ(fixture_top(s, 1, 4), (std::vector<int32_t>{7, 8, 10, 11}));
    EXPECT_EQ(fixture_top(s, 0, 6, one_window()), (std::vector<int32_t>{3, 7, 8, 9, 10, 11}));
  }
}

/// Causal attention of row i of query head g to its head's keys, [12].
at::Tensor fixture_attention(int64_t g, int64_t i) {
  const LayerSegment slots = fixture_slots();
  const at::Tensor keys = slots.keys.narrow(0, 12 * (g / 2), 12);
  at::Tensor p = at::zeros({12}, at::kFloat);
  p.narrow(0, 0, i + 1)
      .copy_(at::softmax(at::mv(keys.narrow(0, 0, i + 1), test::fixture_queries()[g][i]) * 0.5, 0));
  return p;
}

TEST(OwnScorerFixtureTest, FinchWeighsRowsByTheKeysThatTheySee) {
  const at::Tensor s = fixture_scores("finch", {{"window", "3"}}, 3);
  for (const int64_t h : {0, 1}) {
    at::Tensor want = at::zeros({12}, at::kFloat);
    for (const int64_t g : {2 * h, 2 * h + 1})
      for (const int64_t i : {9, 10, 11})
        want += fixture_attention(g, i) * static_cast<double>(i + 1) / 6.0;
    EXPECT_LT(test::max_difference(s.narrow(0, 12 * h, 9), want.narrow(0, 0, 9)), 1e-5);
    EXPECT_EQ(fixture_top(s, h, 3), (std::vector<int32_t>{9, 10, 11}));
  }
}

TEST(OwnScorerFixtureTest, SnapkvCanPoolEachQueryHeadByItsMaximum) {
  const at::Tensor s =
      fixture_scores("snapkv", {{"window", "2"}, {"pool", "3"}, {"pooling", "max"}}, 2);
  for (const int64_t h : {0, 1})
    for (int64_t j = 0; j < 10; ++j) {
      double want = 0;
      for (const int64_t g : {2 * h, 2 * h + 1}) {
        const at::Tensor p = (fixture_attention(g, 10) + fixture_attention(g, 11)) / 2.0;
        const int64_t from = std::max<int64_t>(0, j - 1), to = std::min<int64_t>(10, j + 2);
        want += p.narrow(0, from, to - from).max().item<double>() / 2.0;
      }
      EXPECT_NEAR(s[12 * h + j].item<double>(), want, 1e-6);
    }
}

TEST(OwnScorerFixtureTest, CriticalMatches) {
  // Without a model W_o is the identity. Four slots are open, of which the base fills two.
  const at::Tensor s = fixture_scores("critical", {{"pool", "3"}}, 2, 6);
  EXPECT_EQ(fixture_top(s, 0, 4, one_window()), (std::vector<int32_t>{8, 9, 10, 11}));
  EXPECT_EQ(fixture_top(s, 0, 6, one_window()), (std::vector<int32_t>{5, 7, 8, 9, 10, 11}));
  EXPECT_EQ(fixture_top(s, 1, 4, one_window()), (std::vector<int32_t>{7, 8, 10, 11}));
  EXPECT_EQ(fixture_top(s, 1, 6, one_window()), (std::vector<int32_t>{6, 7, 8, 9, 10, 11}));
}

TEST(OwnScorerFixtureTest, NoncausalMatches) {
  const OptionTexts blocks = {{"block", "4"}};
  const at::Tensor s = expect_fixture("noncausal", blocks,
                                      {{151.548046, {2, 4, 9, 11}}, {149.738633, {2, 3, 6, 8}}});
  EXPECT_NEAR(s[0].item<float>(), 2.213240F, 2e-5);
  EXPECT_NEAR(s[4].item<float>(), 3.939618F, 2e-5);
  EXPECT_NEAR(s.narrow(0, 0, 12).sum().item<float>(), 24.0F, 1e-4);
}

TEST(OwnScorerFixtureTest, CompactorMatches) {
  expect_fixture("compactor", {{"block", "4"}},
                 {{-8.327014, {2, 4, 9, 11}}, {-15.074542, {2, 3, 4, 8}}});
}

TEST(OwnScorerFixtureTest, ExpectedMatches) {
  const at::Tensor s = expect_fixture("expected", {{"sinks", "1"}},
                                      {{10.610808, {0, 5, 6, 9}}, {12.724593, {0, 8, 9, 10}}});
  EXPECT_NEAR(s[0].item<float>(), 1.366806F, 2e-6);
}

TEST(OwnAttentionTest, BlocksGiveWhatTheFormulaGives) {
  Random random(11);
  for (const auto& [rows, slots, before] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 0}, {3, 40, 0}, {257, 300, 7}, {600, 513, 1}, {20, 0, 3}, {300, 30, 0}})
    for (const bool ragged : {false, true})
      for (const bool weighted : {false, true}) {
        OwnAttention a;
        a.queries = test::random_tensor({rows, 16}, random);
        a.first = std::max<int64_t>(0, slots - rows) + 5;
        a.keys = test::random_tensor({slots, 16}, random);
        a.positions = at::arange(5, 5 + slots, at::kInt);
        if (ragged) {  // gaps, and later slots before earlier ones
          a.positions = (a.positions * 3).flip({0}).contiguous();
          a.bias = test::random_tensor({slots}, random);
        }
        if (before > 0) {
          a.before = test::random_tensor({before, 16}, random);
          if (ragged) a.before_bias = test::random_tensor({before}, random);
        }
        a.scale = 0.25;
        a.count_visible = weighted;
        const at::Tensor got = attention_sums(a), want = attention_sums_plain(a);
        ASSERT_TRUE(got.isfinite().all().item<bool>());
        if (slots > 0) {
          EXPECT_LT((got - want).abs().max().item<float>(),
                    2e-5F * std::max(1.0F, want.abs().max().item<float>()))
              << rows << " rows, " << slots << " slots";
        }
      }
}

TEST(ScorerOptionsTest, EvenPoolsAndUnknownBasesAreRefused) {
  EXPECT_THROW(make_scorer("snapkv", {{"pool", "4"}}), InvalidArgument);
  EXPECT_THROW(make_scorer("compactor", {{"pool", "2"}}), InvalidArgument);
  EXPECT_THROW(make_scorer("critical", {{"base", "expected"}}), InvalidArgument);
  EXPECT_THROW(make_scorer("h2o", {{"form", "max"}}), InvalidArgument);
}

TEST(BlockAttentionTest, BlocksGiveWhatTheFormulaGivesAndSumToTheGroup) {
  Random random(12);
  for (const int64_t n : {1, 7, 8, 9, 50}) {
    const at::Tensor q = test::random_tensor({3, n, 16}, random) * 9.0,
                     k = test::random_tensor({n, 16}, random) * 9.0;
    for (const at::Tensor& bias : {at::Tensor(), test::random_tensor({n}, random)}) {
      const at::Tensor got = block_attention(q, k, bias, 8);
      EXPECT_LT(test::max_difference(got, block_attention_plain(q, k, bias, 8)), 1e-4);
      EXPECT_NEAR(got.mean().item<double>(), 3.0, 1e-5);
    }
  }
}

}  // namespace
}  // namespace limbeck
