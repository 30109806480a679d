#include "limbeck/compact/score/scorer.h"

#include "limbeck/base/random.h"
#include "limbeck/compact/score/fixture_testing.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/model/precision.h"
#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::expect_fixture;
using test::fixture_queries;
using test::fixture_slots;

TEST(ScorerFixtureTest, KnormMatches) {
  expect_fixture("knorm", {}, {{-109.436876, {5, 7, 8, 10}}, {-109.780586, {5, 6, 7, 11}}});
}

TEST(ScorerFixtureTest, KeydiffMatches) {
  expect_fixture("keydiff", {}, {{-5.672705, {5, 6, 7, 11}}, {-28.004080, {0, 2, 3, 4}}});
}

TEST(ScorerFixtureTest, KvzipMatchesWithContextZeroToFiveAndFedSixToEleven) {
  // A cache that holds slots 0-5 as its tail, and fed rows 6-11 as one block.
  const LayerSegment slots = fixture_slots();
  KvCache cache({2, 4, DType::f32, {LayerKind{}}});
  cache.reserve(6);
  LayerCache& layer = cache.layer_for_append(0);
  const auto rows = [&](const at::Tensor& t, int64_t first) {
    return t.view({2, 12, 4}).narrow(1, first, 6);
  };
  layer.tail.keys.narrow(1, 0, 6).copy_(rows(slots.keys, 0));
  layer.tail.values.narrow(1, 0, 6).copy_(rows(slots.values, 0));
  const std::vector<int32_t> ids(6, 1);
  cache.commit(ids, std::vector<std::pair<at::Tensor, at::Tensor>>(1));

  const LayerSegment span = cache_gather(cache, 0, {0, 6});
  const at::Tensor q = fixture_queries().narrow(1, 6, 6).contiguous(), fed = rows(slots.keys, 6);
  // Log mass of the fed rows that each row sees: itself and those before.
  at::Tensor elsewhere = at::empty({4, 6}, at::kFloat);
  for (int64_t g = 0; g < 4; ++g)
    for (int64_t i = 0; i < 6; ++i)
      elsewhere[g][i] = at::logsumexp(0.5 * at::mv(fed[g / 2].narrow(0, 0, i + 1), q[g][i]), {0});
  LayerQueries queries{0, 0.5, {}};
  queries.chunks.push_back({{0, 6}, 1.0, q, elsewhere, {}});
  ScoreInput in = test::fixture_input(span);
  in.cache = &cache;
  in.span = {0, 6};
  in.queries = &queries;
  at::Tensor out = at::empty({12}, at::kFloat);
  make_scorer("kvzip", {{"sinks", "0"}})->score(in, out);
  const std::vector<float> expected = {.111261F, .095360F, .125727F, .090940F, .430718F, .350680F,
                                       .061095F, .109562F, .077420F, .064162F, .109672F, .431167F};
  for (int i = 0; i < 12; ++i) EXPECT_NEAR(out[i].item<float>(), expected[i], 2e-6) << i;
}

/// Two repeats of two parts of a span with context before and behind it, against the formula.
TEST(ScorerTest, KvzipEqualsItsFormulaWithBothNorms) {
  Random random(17);
  constexpr int64_t kHeads = 2, kGroup = 2, kDim = 8, kTokens = 20, kFed = 7;
  const PositionRange span{3, 17};
  KvCache cache({kHeads, kDim, DType::f32, {LayerKind{}}});
  cache.reserve(kTokens);
  LayerTail& tail = cache.layer_for_append(0).tail;
  tail.keys.narrow(1, 0, kTokens).copy_(test::random_tensor({kHeads, kTokens, kDim}, random));
  tail.values.narrow(1, 0, kTokens).copy_(test::random_tensor({kHeads, kTokens, kDim}, random));
  cache.commit(std::vector<int32_t>(kTokens, 1), std::vector<std::pair<at::Tensor, at::Tensor>>(1));
  const at::Tensor keys = cache_gather(cache, 0, {0, kTokens}).keys.view({kHeads, kTokens, kDim});
  LayerQueries queries{0, 0.7, {}};
  for (const PositionRange chunk : {PositionRange{3, 10}, PositionRange{10, 17}})
    queries.chunks.push_back({chunk,
                              1.0,
                              test::random_tensor({kHeads * kGroup, kFed, kDim}, random),
                              test::random_tensor({kHeads * kGroup, kFed}, random),
                              {}});
  const LayerSegment slots = cache_gather(cache, 0, span);
  ScoreInput in;
  in.cache = &cache;
  in.slots = &slots;
  in.span = span;
  in.queries = &queries;
  for (const char* norm : {"local", "all"}) {
    at::Tensor out = at::empty({slots.slots()}, at::kFloat);
    make_scorer("kvzip", {{"norm", norm}})->score(in, out);
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t j = span.begin; j < span.end; ++j) {
        double want = 0;
        for (const QueryChunk& c : queries.chunks) {
          if (!c.chunk.contains(j)) continue;
          for (int64_t g = h * kGroup; g < (h + 1) * kGroup; ++g)
            for (int64_t i = 0; i < kFed; ++i) {
              const at::Tensor e = (0.7 * at::mv(keys[h], c.queries[g][i])).to(at::kDouble).exp();
              const double mass =
                  std::string(norm) == "all"
                      ? e.sum().item<double>()
                      : e.narrow(0, c.chunk.begin, c.chunk.size()).sum().item<double>() +
                            std::exp(c.elsewhere[g][i].item<double>());
              want = std::max(want, e[j].item<double>() / mass);
            }
        }
        EXPECT_NEAR(out[h * span.size() + j - span.begin].item<double>(), want, 1e-5) << norm;
      }
  }
}

/// The published selectors say the same whether or not somebody wants to know what their rows see,
/// and what they tell is right.
TEST(ScorerTest, PublishedSelectorsTellWhatTheirRowsSee) {
  Random random(23);
  LayerSegment slots;  // the second head has none
  slots.keys = test::random_tensor({24, 4}, random);
  slots.values = test::random_tensor({24, 4}, random);
  slots.offsets = {0, 12, 12, 24};
  slots.positions = at::arange(24, at::kInt);
  LayerQueries queries{0, 0.5, {}};
  for (const int64_t tokens : {150, 170})  // more rows than a block
    queries.chunks.push_back({{0, 12}, 2.0, test::random_tensor({6, tokens, 4}, random), {}, {}});
  ScoreInput in;
  in.slots = &slots;
  in.queries = &queries;
  const std::vector<int64_t> budgets = {5, 0, 5};
  in.budgets = budgets;
  for (const auto& scorer : {make_scorer("attention", {{"reduce", "rms"}}), make_scorer("omp"),
                             make_scorer("omp", {{"pace", "4/2"}})}) {
    at::Tensor alone = at::empty({24}, at::kFloat), telling = at::empty({24}, at::kFloat);
    in.seen = nullptr;
    scorer->score(in, alone);
    std::vector<HeadAttention> seen;
    in.seen = &seen;
    scorer->score(in, telling);
    EXPECT_TRUE(at::equal(alone, telling));
    ASSERT_EQ(seen.size(), 3);
    EXPECT_FALSE(seen[1].outputs.defined());
    for (const int64_t h : {0, 2}) {
      const HeadAttention want = head_attention(slots, queries, h);
      EXPECT_TRUE(at::allclose(seen[h].outputs, want.outputs, 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(seen[h].lse, want.lse, 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(seen[h].top + seen[h].mass.log(), want.lse, 1e-5, 1e-6));
      EXPECT_FALSE(seen[h].reader.defined());
    }
  }
}

/// Published methods compare by f32 features, whatever products of the rest are rounded to.
TEST(ScorerTest, PublishedPicksDoNotDependOnThePrecisionThatIsSet) {
  Random random(24);
  LayerSegment slots;
  const at::Tensor keys = test::random_tensor({150, 32}, random);  // all of them nearly twice
  slots.keys =
      at::cat({keys, keys + 0.05 * test::random_tensor({150, 32}, random)}).to(at::kBFloat16);
  slots.values = test::random_tensor({300, 32}, random).to(at::kBFloat16);
  slots.offsets = {0, 300};
  slots.positions = at::arange(300, at::kInt);
  LayerQueries queries{0, 0.3, {}};
  queries.chunks.push_back(
      {{0, 300}, 1.0, test::random_tensor({2, 400, 32}, random).to(at::kBFloat16), {}, {}});
  ScoreInput in;
  in.slots = &slots;
  in.queries = &queries;
  const std::vector<int64_t> budgets = {200};
  in.budgets = budgets;
  for (const OptionTexts& options :
       {OptionTexts{{"form", "gram"}}, OptionTexts{}, OptionTexts{{"pace", "4/2"}}}) {
    const auto scorer = make_scorer("omp", options);
    at::Tensor full = at::empty({300}, at::kFloat), medium = at::empty({300}, at::kFloat);
    scorer->score(in, full);
    const MediumPrecision rounded;
    scorer->score(in, medium);
    EXPECT_TRUE(at::equal(full, medium));
  }
}

TEST(ScorerTest, RandomMatchesTheSpecifiedStream) {
  const LayerSegment slots = fixture_slots();
  at::Tensor out = at::empty({24}, at::kFloat);
  make_scorer("random")->score(test::fixture_input(slots), out);
  EXPECT_FLOAT_EQ(out[0].item<float>(), 0.8833108082136426F);
  EXPECT_FLOAT_EQ(out[1].item<float>(), 0.43152799704850997F);
  EXPECT_FLOAT_EQ(out[12].item<float>(),
                  static_cast<float>(unit_double(splitmix64_at(0, 1ULL << 32))));
}

TEST(ScorerTest, StreamingRanksByPositionAndProtectsSinks) {
  const LayerSegment slots = fixture_slots();
  at::Tensor out = at::empty({24}, at::kFloat);
  const auto scorer = make_scorer("streaming");
  scorer->score(test::fixture_input(slots), out);
  EXPECT_EQ(scorer->traits().sinks, 4);
  EXPECT_LT(out[3].item<float>(), out[4].item<float>());
}

TEST(ScorerTest, UnropedKeydiffDoesNotDependOnPosition) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 5);
  Random random(9);
  LayerSegment plain;
  plain.keys = test::random_tensor({20, 16}, random);
  plain.values = plain.keys;
  plain.offsets = {0, 10, 20};
  plain.positions = at::zeros({20}, at::kInt);
  LayerSegment moved = plain;
  moved.positions = at::arange(20, at::kInt) * 7;
  moved.keys = rotate_keys(plain.keys, moved.positions, model.inverse_frequencies(0));
  at::Tensor a = at::empty({20}, at::kFloat), b = at::empty({20}, at::kFloat);
  make_scorer("keydiff", {{"unrope", "true"}})->score(test::fixture_input(plain, &model), a);
  make_scorer("keydiff", {{"unrope", "true"}})->score(test::fixture_input(moved, &model), b);
  EXPECT_LT((a - b).abs().max().item<float>(), 1e-4F);
}

TEST(ScorerTest, UnknownNamesAndOptionsAreRefused) {
  EXPECT_THROW(make_scorer("best"), InvalidArgument);
  EXPECT_THROW(make_scorer("knorm", {{"window", "3"}}), InvalidArgument);
  EXPECT_THROW(make_scorer("kvzip", {{"norm", "some"}}), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
