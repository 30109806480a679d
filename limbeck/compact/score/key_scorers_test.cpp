#include "limbeck/base/random.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/compact/score/fixture_testing.h"
#include "limbeck/compact/score/leverage.h"
#include "limbeck/compact/score/moments.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::expect_fixture;
using test::max_difference;
using test::random_tensor;

TEST(KeyScorerFixtureTest, LeverageMatches) {
  const at::Tensor s =
      expect_fixture("leverage", {}, {{23.839672, {0, 1, 2, 11}}, {21.392977, {0, 2, 3, 8}}});
  EXPECT_NEAR(s[0].item<float>(), .464542F, 2e-6);
  EXPECT_NEAR(s[12].item<float>(), .782407F, 2e-6);
  EXPECT_NEAR(s.narrow(0, 0, 12).sum().item<double>(), 3.999951936, 2e-5);
}

TEST(KeyScorerFixtureTest, CurMatches) {
  expect_fixture("cur", {{"window", "4"}, {"sinks", "0"}},
                 {{6.691119, {2, 5, 9, 11}}, {6.337283, {4, 5, 8, 10}}});
}

TEST(KeyScorerFixtureTest, LagkvMatchesByRankAndAcrossChunks) {
  const LayerSegment slots = test::fixture_slots();
  at::Tensor ranks = at::empty({24}, at::kFloat), cross = at::empty({24}, at::kFloat);
  make_scorer("lagkv", {{"sinks", "2"}, {"lag", "3"}})->score(test::fixture_input(slots), ranks);
  make_scorer("lagkv", {{"sinks", "2"}, {"lag", "3"}, {"cross", "true"}})
      ->score(test::fixture_input(slots), cross);
  const std::vector<std::vector<float>> rank = {{2, 1, 0, 1, 2, 0}, {2, 1, 0, 2, 1, 0}};
  const std::vector<float> average = {.358399F, .332954F, .308647F, .732950F, .194968F, .072082F};
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t j = 0; j < 12; ++j) {
      const bool compared = j >= 2 && j < 8;
      EXPECT_NEAR(ranks[12 * h + j].item<float>(), compared ? rank[h][j - 2] / 3.0F : 1.0F, 1e-6F);
      if (!compared || h == 0) continue;
      EXPECT_NEAR(cross[12 + j].item<float>(), average[j - 2], 2e-6F) << j;
    }
}

TEST(LagkvTest, AShortSpanKeepsSinksAndTheNewest) {
  const LayerSegment slots = test::fixture_slots();
  at::Tensor s = at::empty({24}, at::kFloat);
  make_scorer("lagkv")->score(test::fixture_input(slots), s);
  EXPECT_EQ(test::fixture_top(s, 0, 6), (std::vector<int32_t>{0, 1, 2, 3, 10, 11}));
}

TEST(MomentsTest, BlocksGiveTheMeanAndScatterOfAllRowsFarFromTheOrigin) {
  Random random(3);
  for (const int64_t n : {1, 2, 511, 512, 513, 1300}) {
    const at::Tensor x = random_tensor({n, 8}, random) + 1000.0;
    for (const bool weighted : {false, true}) {
      const at::Tensor w = weighted ? random_tensor({n}, random).exp() : at::ones({n}, at::kFloat);
      Moments m(8);
      m.add(x.narrow(0, 0, n / 3), w.narrow(0, 0, n / 3));
      m.add(x.narrow(0, n / 3, n - n / 3), weighted ? w.narrow(0, n / 3, n - n / 3) : at::Tensor());
      const at::Tensor d = x.to(at::kDouble), wd = w.to(at::kDouble).unsqueeze(1),
                       mean = (d * wd).sum(0) / wd.sum(), c = d - mean;
      EXPECT_LT(max_difference(m.mean(), mean), 1e-9);
      EXPECT_LT(max_difference(m.scatter(), at::mm((c * wd).t(), c)), 1e-6);
    }
  }
}

TEST(LeverageTest, MatchesTheSmallCases) {
  const at::Tensor four =
      at::tensor({1., 0., 0., 1., -1., 0., 0., -1.}).view({4, 2}).to(at::kFloat);
  const at::Tensor a = leverage_scores(four, {}, {.ridge = .005});
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(a[i].item<double>(), .497512, 1e-6);
  const at::Tensor five = at::cat({four, at::full({1, 2}, 7.0, at::kFloat)});
  const at::Tensor b = leverage_scores(five, {}, {});
  const std::vector<double> expected = {.270098, .270098, .339749, .339749, .780096};
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(b[i].item<double>(), expected[i], 1e-6);
}

TEST(LeverageTest, BlocksGiveWhatAPlainSolveGives) {
  Random random(5);
  for (const int64_t n : {2, 3, 16, 513, 5000}) {
    const at::Tensor x = random_tensor({n, 16}, random) * at::linspace(.01, 3, 16) + 5.0;
    for (const at::Tensor& w : {at::Tensor(), random_tensor({n}, random).exp()})
      EXPECT_LT(max_difference(leverage_scores(x, w, {}), leverage_plain(x, w, 1e-5)), 1e-5) << n;
  }
}

TEST(LeverageTest, IsInZeroToOneAndIgnoresACommonPart) {
  Random random(6);
  const at::Tensor x = random_tensor({300, 16}, random);
  const at::Tensor l = leverage_scores(x, {}, {});
  EXPECT_GE(l.min().item<double>(), 0.0);
  EXPECT_LT(l.max().item<double>(), 1.0);
  EXPECT_LT(max_difference(leverage_scores(x + 100.0, {}, {}), l), 1e-4);
  // A key that is there twice is explained by its twin.
  const at::Tensor twice = leverage_scores(at::cat({x, x.narrow(0, 0, 1)}), {}, {});
  EXPECT_LE(twice[0].item<double>(), l[0].item<double>() + 1e-6);
}

TEST(LeverageTest, DegenerateKeysGiveZero) {
  EXPECT_EQ(leverage_scores(at::ones({1, 4}), {}, {}).abs().sum().item<double>(), 0.0);
  EXPECT_EQ(leverage_scores(at::ones({9, 4}), {}, {}).abs().sum().item<double>(), 0.0);
  EXPECT_EQ(leverage_scores(at::ones({0, 4}), {}, {}).numel(), 0);
}

TEST(LeverageTest, AWeightedKeyIsThatManyKeys) {
  Random random(7);
  const at::Tensor x = random_tensor({40, 8}, random);
  at::Tensor w = at::ones({40}, at::kFloat);
  w[3] = 3.0;
  const at::Tensor copies = at::cat({x, x.narrow(0, 3, 1), x.narrow(0, 3, 1)});
  const at::Tensor weighted = leverage_scores(x, w, {}), many = leverage_scores(copies, {}, {});
  EXPECT_NEAR(weighted[3].item<double>(), 3.0 * many[3].item<double>(), 1e-4);
  EXPECT_NEAR(weighted[4].item<double>(), many[4].item<double>(), 1e-4);
}

TEST(LeverageTest, ChunksAreDomainsOfTheirOwnAndAShortTailJoins) {
  Random random(8);
  const at::Tensor x = random_tensor({105, 8}, random);
  const at::Tensor chunked = leverage_scores(x, {}, {.chunk = 50});
  EXPECT_LT(max_difference(chunked.narrow(0, 0, 50), leverage_scores(x.narrow(0, 0, 50), {}, {})),
            1e-6);
  EXPECT_LT(max_difference(chunked.narrow(0, 50, 55), leverage_scores(x.narrow(0, 50, 55), {}, {})),
            1e-6);
}

TEST(LeverageTest, ASketchRanksMuchLikeTheExactFormAndMustBeSmall) {
  Random random(9);
  at::Tensor x = random_tensor({400, 16}, random);
  x.narrow(0, 0, 10) *= 6.0;
  const at::Tensor sketch = leverage_scores(x, {}, {.sketch = 12});
  EXPECT_GT(sketch.narrow(0, 0, 10).mean().item<double>(),
            4 * sketch.narrow(0, 10, 390).mean().item<double>());
  EXPECT_TRUE(at::equal(sketch, leverage_scores(x, {}, {.sketch = 12})));
  EXPECT_THROW(leverage_scores(x, {}, {.sketch = 16}), InvalidArgument);
}

TEST(LeverageScorerTest, LooksAtKeysBeforeRopeAndLeavesOutWhatIsKept) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 5);
  Random random(10);
  LayerSegment plain;
  plain.keys = random_tensor({60, 16}, random);
  plain.values = plain.keys;
  plain.offsets = {0, 30, 60};
  plain.positions = at::zeros({60}, at::kInt);
  LayerSegment moved = plain;
  moved.positions = at::arange(60, at::kInt) * 7;
  moved.keys = rotate_keys(plain.keys, moved.positions, model.inverse_frequencies(0));
  std::vector<uint8_t> forced(60, 0);
  forced[4] = forced[40] = 1;
  at::Tensor a = at::empty({60}, at::kFloat), b = at::empty({60}, at::kFloat);
  ScoreInput in = test::fixture_input(plain, &model);
  in.forced = forced;
  const auto scorer = make_scorer("leverage");
  scorer->score(in, a);
  in.slots = &moved;
  scorer->score(in, b);
  EXPECT_LT(max_difference(a, b), 1e-4);
  EXPECT_EQ(a[4].item<float>(), 0.0F);
  std::vector<int64_t> open;
  for (int64_t i = 0; i < 30; ++i)
    if (i != 4) open.push_back(i);
  const at::Tensor index = at::tensor(open, at::kLong);
  EXPECT_LT(max_difference(a.index_select(0, index),
                           leverage_plain(plain.keys.index_select(0, index), {}, 1e-5)),
            1e-5);
}

TEST(KeysBeforeRopeTest, TablesTurnKeysBackAsEachAngleDoes) {
  const test::Read r({0, 0}, DType::bf16, 240);
  Random random(5);
  // All positions, some of each head's, and so few that heads are turned one by one.
  for (const uint64_t every : {1, 2, 40}) {
    const LayerSegment all = cache_gather(r.cache, 1, {0, 240});
    std::vector<int64_t> rows, offsets = {0};
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = all.offsets[h]; i < all.offsets[h + 1]; ++i)
        if (random.below(every) == 0) rows.push_back(i);
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    const LayerSegment slots = segment_gather(all, at::tensor(rows, at::kLong), offsets);
    ScoreInput in;
    in.model = &r.model;
    in.layer = 1;
    in.slots = &slots;
    in.span = {0, 240};
    const KeysBeforeRope keys(in);
    for (int64_t h = 0; h < 2; ++h) {
      const int64_t first = slots.offsets[h], n = slots.slots(h);
      const at::Tensor expected =
          rotate_keys(slots.keys.narrow(0, first, n).to(at::kFloat),
                      slots.positions.narrow(0, first, n).neg(), r.model.inverse_frequencies(1));
      EXPECT_LT(
          test::max_difference(keys.rows(h, at::arange(in.slots->slots(h), at::kLong)), expected),
          2e-6)
          << "one of " << every;
    }
  }
}

}  // namespace
}  // namespace limbeck
