#include "limbeck/compact/quality/guard.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

namespace limbeck {
namespace {

TEST(GuardTest, PiecesThatAreHardRaiseTheWhole) {
  // 19 pieces of loss 2 and one of 5; alpha 2, beta -14: 153 of 512 and 345 of 512 slots.
  TextLoss loss;
  for (int64_t i = 0; i < 20; ++i)
    loss.pieces.push_back({{512 * i, 512 * (i + 1)}, i == 7 ? 5.0 : 2.0});
  loss.nll = 2.15;
  const QualityCurve curve{2, -14};
  const QualityChoice c = choose_ratio(curve, loss, 0.95);
  EXPECT_NEAR(c.mean_ratio, .308718, 1e-6);
  EXPECT_EQ(c.floors[0].slots, 153);
  EXPECT_EQ(c.floors[7].slots, 345);
  EXPECT_EQ(c.slots, 3252);
  EXPECT_NEAR(c.ratio, 3252.0 / 10240, 1e-12);
  EXPECT_GT(c.predicted, 0.95);
  loss.pieces[7].nll = 2.0;
  loss.nll = 2.0;
  EXPECT_EQ(choose_ratio(curve, loss, 0.95).slots, 3067);  // ceil(.299487 * 10240)
  EXPECT_EQ(choose_ratio(curve, loss, 1.0).ratio, 1.0);
}

TEST(GuardTest, FloorsForceTheBestOfEachPiece) {
  const std::vector<float> scores = {9, 8, 7, 6, 1, 2, 4, 3};
  const std::vector<int32_t> positions = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<PieceFloor> floors = {{{0, 4}, 1}, {{4, 8}, 2}};
  HeadContest head{0, 0, scores, positions, std::vector<uint8_t>(8, 0), 4};
  std::vector<HeadContest> heads = {head, head};
  force_floors(heads, floors, 1.0, Comparable::none);
  for (const HeadContest& h : heads)
    EXPECT_EQ(h.forced, (std::vector<uint8_t>{1, 0, 0, 0, 0, 0, 1, 1}));

  heads = {head, head};
  heads[0].forced[5] = 1;  // counts towards its piece
  force_floors(heads, floors, 0.5, Comparable::none);
  EXPECT_EQ(heads[0].forced, (std::vector<uint8_t>{0, 0, 0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(heads[1].forced, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 1, 0}));

  // Two heads of a layer together: the better head may take it all.
  std::vector<float> better = scores;
  for (float& s : better) s += 20;
  heads = {head, head};
  heads[1].scores = better;
  force_floors(heads, floors, 1.0, Comparable::layer);
  EXPECT_EQ(std::accumulate(heads[0].forced.begin(), heads[0].forced.end(), 0), 0);
  EXPECT_EQ(heads[1].forced, (std::vector<uint8_t>{1, 1, 0, 0, 1, 1, 1, 1}));

  // Never beyond the budget.
  heads = {head};
  heads[0].budget = 2;
  force_floors(heads, floors, 1.0, Comparable::model);
  EXPECT_EQ(std::accumulate(heads[0].forced.begin(), heads[0].forced.end(), 0), 2);
}

TEST(GuardTest, HeadsThatStreamHaveNoPartInAFloor) {
  const std::vector<float> scores = {9, 8, 7, 6, 1, 2, 4, 3};
  const std::vector<int32_t> positions = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<PieceFloor> floors = {{{0, 4}, 2}, {{4, 8}, 2}};
  const HeadContest head{0, 0, scores, positions, std::vector<uint8_t>(8, 0), 4},
      streams{0, 1, {}, {}, {}, 0};
  std::vector<HeadContest> heads = {head, streams};
  force_floors(heads, floors, 1.0, Comparable::model);
  // Twice the floor for the first piece would leave nothing for the second.
  EXPECT_EQ(heads[0].forced, (std::vector<uint8_t>{1, 1, 0, 0, 0, 0, 1, 1}));
}

TEST(GuardTest, WhereTooFewHaveAScoreThoseOfTheStageBeforeRankTheRest) {
  const std::vector<int32_t> positions = {0, 1, 2, 3};
  const std::vector<float> scores = {kNoCandidate, 1, kNoCandidate, kNoCandidate},
                           before = {5, 6, 7, kNoCandidate};
  const std::vector<PieceFloor> floors = {{{0, 4}, 2}};
  HeadContest head{0, 0, scores, positions, std::vector<uint8_t>(4, 0), 4};
  std::vector<HeadContest> heads = {head};
  force_floors(heads, floors, 1.0, Comparable::model);
  EXPECT_EQ(heads[0].forced, (std::vector<uint8_t>{0, 1, 0, 0}));
  head.earlier = before;
  heads = {head};
  force_floors(heads, floors, 1.0, Comparable::model);
  EXPECT_EQ(heads[0].forced, (std::vector<uint8_t>{0, 1, 1, 0}));
}

TEST(GuardTest, LayersThatKeepTheSameTokensAreForcedAlike) {
  const std::vector<int32_t> positions = {0, 1, 2, 3, 4, 5};
  const std::vector<float> a = {5, 1, 0, 0, 1, 3}, b = {0, 7, 1, 0, 4, 2}, other(6, 1.0F);
  const std::vector<PieceFloor> floors = {{{0, 3}, 1}, {{3, 6}, 2}};
  const auto head = [&](int64_t layer, int64_t number, std::span<const float> scores) {
    return HeadContest{layer, number, scores, positions, std::vector<uint8_t>(6, 0), 4};
  };
  std::vector<HeadContest> heads = {head(0, 0, a),     head(0, 1, b),     head(1, 0, other),
                                    head(1, 1, other), head(2, 0, other), head(2, 1, b)};
  force_floors(heads, floors, 1.0, Comparable::layer, 2);
  for (size_t h = 0; h < 4; ++h)  // sums of the first layer: 5 8 1 | 0 5 5
    EXPECT_EQ(heads[h].forced, (std::vector<uint8_t>{0, 1, 0, 0, 1, 1})) << h;
  for (size_t h = 4; h < 6; ++h)  // 1 8 2 | 1 5 3
    EXPECT_EQ(heads[h].forced, (std::vector<uint8_t>{0, 1, 0, 0, 1, 1})) << h;
  heads = {head(0, 0, b)};
  heads[0].forced[0] = 1;
  force_floors(heads, floors, 0.5, Comparable::layer, 1);
  EXPECT_EQ(heads[0].forced, (std::vector<uint8_t>{1, 0, 0, 0, 1, 0}));
}

TEST(GuardTest, MethodsKeepTheFloorsOneHeadOrAllTogether) {
  for (const char* method : {"keydiff", "kvzip", "limbeck", "chunkkv"}) {
    test::Read r({0, 0}, DType::f32, 90);
    // chunkkv's recent window takes more than its piece's floor.
    const double ratio = std::string_view(method) == "chunkkv" ? 0.5 : 0.3;
    CompactOptions o = test::compact_options(method, ratio, 50);
    for (int64_t i = 0; i < 3; ++i) o.floors.push_back({{30 * i, 30 * (i + 1)}, 8});
    compact(r.model, r.cache, o);
    for (const PieceFloor& f : o.floors) {
      int64_t kept = 0;
      for (int64_t l = 0; l < 2; ++l) kept += cache_gather(r.cache, l, f.range).slots();
      EXPECT_GE(kept, 2 * 2 * 8 - 4) << method << " " << f.range.begin;  // stages round down
    }
  }
}

TEST(TextLossTest, IsTheMeanLossOfEveryEighthToken) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 21);
  const auto tokens = test::random_tokens(90, 4);
  KvCache all = model.new_cache();
  PrefillOptions every;
  every.logits = LogitsWanted::all;
  const at::Tensor log_p = at::log_softmax(prefill(model, all, tokens, every), 1);
  double want = 0;
  int64_t n = 0;
  for (int64_t at = 6; at + 1 < 84; at += 8, ++n) want -= log_p[at][tokens[at + 1]].item<double>();

  for (const LogitsWanted logits : {LogitsWanted::none, LogitsWanted::last, LogitsWanted::all}) {
    TextLossMeter meter(model, tokens, 0, {6, 84});
    KvCache cache = model.new_cache();
    PrefillOptions o;
    o.chunk = 20;
    o.logits = logits;
    o.on_hidden = meter.listener();
    const at::Tensor out = prefill(model, cache, tokens, o);
    EXPECT_NEAR(meter.result().nll, want / static_cast<double>(n), 1e-5);
    if (logits == LogitsWanted::last) {
      EXPECT_LT(test::max_difference(at::log_softmax(out, 1), log_p.narrow(0, 89, 1)), 1e-4);
    }
    ASSERT_EQ(meter.result().pieces.size(), 1U);
  }
  EXPECT_THROW(TextLossMeter(model, tokens, 0, {80, 91}), InvalidArgument);
  EXPECT_THROW(TextLossMeter(model, tokens, 0, {5, 6}), InvalidArgument);
  EXPECT_THROW(TextLossMeter(model, tokens, 0, {5, 60}).result(), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
