#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <set>

namespace limbeck {
namespace {

constexpr int64_t kSlots = 300, kRows = 500, kForced = 30, kPicks = 40;

/// One head as a layer with one KV head and one query head; some slots are kept already.
struct OneHead {
  explicit OneHead(uint64_t seed, int64_t many = kForced)
      : head(test::synthetic_head(seed, 0.5, kSlots, kRows, 1)), forced_count(many) {
    const HeadProblem& p = head.train;
    slots.keys = p.keys;
    slots.values = p.values;
    slots.offsets = {0, kSlots};
    slots.positions = at::arange(kSlots, at::kInt);
    queries = {0, p.scale, {{{0, kSlots}, 1.0, p.queries.unsqueeze(0), {}, {}}}};
    features = at::softmax(p.scale * at::mm(p.queries, p.keys.t()), 1).to(at::kDouble);
    // The stage before: coverage.
    const at::Tensor best = std::get<0>(features.max(0)).to(at::kFloat);
    earlier.assign(best.const_data_ptr<float>(), best.const_data_ptr<float>() + kSlots);
    order.resize(kSlots);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return earlier[a] > earlier[b]; });
    forced.assign(kSlots, 0);
    for (int64_t i = 0; i < forced_count; ++i) forced[order[i]] = 1;
    budgets = {forced_count + kPicks};
  }

  std::vector<float> scores(const OptionTexts& options,
                            std::vector<HeadAttention>* seen = nullptr) const {
    ScoreInput in;
    in.seen = seen;
    in.slots = &slots;
    in.span = {0, kSlots};
    in.queries = &queries;
    in.open_budget = picks;
    in.budgets = budgets;
    in.forced = forced;
    in.earlier = earlier;
    in.head_weights = {&weight, 1};
    at::Tensor out = at::empty({kSlots}, at::kFloat);
    make_scorer("wpc", options)->score(in, out);
    const float* p = out.const_data_ptr<float>();
    return {p, p + kSlots};
  }

  /// The forced slots and the first picks of a ranking.
  std::vector<int64_t> kept(const std::vector<float>& scores) const {
    std::vector<int64_t> all(kSlots), out;
    std::iota(all.begin(), all.end(), 0);
    std::stable_sort(all.begin(), all.end(),
                     [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    for (int64_t i = 0; i < picks; ++i) out.push_back(all[i]);
    for (int64_t i = 0; i < forced_count; ++i) out.push_back(order[i]);
    return out;
  }

  /// What least squares on the kept slots' features leaves of the outputs.
  double residual(const std::vector<int64_t>& slots_kept) const {
    const at::Tensor x = features.index_select(1, at::tensor(slots_kept, at::kLong));
    const at::Tensor y = at::mm(features, head.train.values.to(at::kDouble));
    at::Tensor g = at::mm(x.t(), x);
    g.diagonal().add_(1e-12);
    const at::Tensor c =
        at::cholesky_solve(at::mm(x.t(), y), std::get<0>(at::linalg_cholesky_ex(g)));
    return (y - at::mm(x, c)).norm().item<double>();
  }

  test::SyntheticHead head;
  LayerSegment slots;
  LayerQueries queries;
  at::Tensor features;
  std::vector<float> earlier;
  std::vector<int> order;
  std::vector<uint8_t> forced;
  std::vector<int64_t> budgets;
  int64_t forced_count, picks = kPicks;
  double weight = 1.0;
};

TEST(WpcScorerTest, SampledRowsPickAboutAsWellAsTheWholeGram) {
  for (uint64_t seed : {1, 2, 3}) {
    const OneHead h(seed);
    const auto full = h.kept(h.scores({{"gram", "full"}}));
    // Every row, every slot: only the projection and its precision differ.
    const auto all = h.kept(h.scores({{"gram", "sampled"}, {"rows", "100000"}, {"pool", "1"}}));
    std::set<int64_t> both(full.begin(), full.end());
    const auto same =
        std::count_if(all.begin(), all.end(), [&](int64_t s) { return both.contains(s); });
    EXPECT_GE(same, kForced + 9 * kPicks / 10);
    EXPECT_LT(h.residual(all), 1.02 * h.residual(full));
    // Few rows lose something, but stay far from a random choice.
    const auto few = h.kept(h.scores({{"gram", "sampled"}, {"rows", "250"}, {"pool", "1"}}));
    EXPECT_LT(h.residual(few), 1.25 * h.residual(full));
  }
}

/// Where few are picked, a small head's choice is made on its rows, which is cheaper than G.
TEST(WpcScorerTest, RowsPickAsWellAsTheWholeGram) {
  for (uint64_t seed : {1, 2, 3}) {
    const OneHead h(seed, 0);
    const std::vector<float> by_rows = h.scores({{"gram", "auto"}, {"dense", "2048"}});
    const auto full = h.kept(h.scores({{"gram", "full"}})), rows = h.kept(by_rows);
    // All rows: nothing is left to a sample.
    EXPECT_EQ(by_rows, h.scores({{"gram", "sampled"}, {"rows", "100000"}, {"pool", "1"}}));
    EXPECT_LT(h.residual(rows), 1.02 * h.residual(full));
    // Beyond half of the slots the matrix is cheaper.
    OneHead many(seed, 0);
    many.picks = 160;
    many.budgets = {160};
    EXPECT_EQ(many.scores({{"dense", "2048"}}), many.scores({{"gram", "full"}}));
  }
}

/// A large head of which nothing is kept before: sums of rows miss nothing that a few rows read, as
/// a sample does.
TEST(WpcScorerTest, SumsOfRowsPickBetterThanASample) {
  double mixed = 0, sampled = 0;
  for (uint64_t seed : {1, 2, 3, 4}) {
    OneHead h(seed, 0);
    h.earlier.clear();  // no stage before
    const OptionTexts few = {{"gram", "mixed"}, {"rows", "160"}, {"mix", "1"}, {"reach", "1"}};
    const double full = h.residual(h.kept(h.scores({{"gram", "full"}, {"reach", "1"}})));
    mixed += h.residual(h.kept(h.scores(few))) / full;
    sampled += h.residual(h.kept(h.scores(
                   {{"gram", "sampled"}, {"rows", "160"}, {"pool", "1"}, {"reach", "1"}}))) /
               full;
    // The default for heads above `dense`; the same seed, the same ranking.
    EXPECT_EQ(h.scores({{"dense", "64"}, {"rows", "160"}, {"mix", "1"}, {"reach", "1"}}),
              h.scores(few));
    EXPECT_NE(h.scores({{"gram", "full"}, {"reach", "1"}}), h.scores(few));
  }
  EXPECT_LT(mixed, 4 * 1.1);
  EXPECT_LT(mixed - 4, 0.5 * (sampled - 4));

  // Slots that are kept before are projected out of the sums as out of rows.
  const OneHead h(5);
  const double full = h.residual(h.kept(h.scores({{"gram", "full"}})));
  EXPECT_LT(h.residual(h.kept(h.scores({{"gram", "mixed"}, {"rows", "250"}, {"pool", "1"}}))),
            1.25 * full);
}

/// The builder would compute the same once more.
/// A head that counts for nothing keeps its floor before any other head gets more than that.
TEST(WpcScorerTest, EveryHeadKeepsItsFloorFirst) {
  OneHead one(45, 0);
  one.weight = 1e-12;
  for (const int64_t floor : {0, 4, 9}) {
    std::vector<float> scores = one.scores({{"gram", "full"}, {"floor", std::to_string(floor)}});
    std::sort(scores.begin(), scores.end(), std::greater<>());
    for (int64_t i = 0; i < floor; ++i) EXPECT_GT(scores[i], 1e28F) << floor << " " << i;
    EXPECT_LT(scores[floor], 1.0F) << floor;
    EXPECT_GT(scores[floor], 0.0F) << floor;
  }
  // What was kept before counts towards it.
  OneHead more(45, 3);
  more.weight = 1e-12;
  std::vector<float> scores = more.scores({{"gram", "full"}});
  std::sort(scores.begin(), scores.end(), std::greater<>());
  EXPECT_GT(scores[0], 1e28F);
  EXPECT_LT(scores[1], 1.0F);
}

TEST(WpcScorerTest, LeavesWhatItsRowsSee) {
  const OneHead h(7, 0);
  std::vector<HeadAttention> seen;
  EXPECT_EQ(h.kept(h.scores({}, &seen)), h.kept(h.scores({})));
  ASSERT_EQ(seen.size(), 1);
  const HeadAttention want = head_attention(h.slots, h.queries, 0);
  EXPECT_TRUE(at::equal(seen[0].outputs, want.outputs));
  EXPECT_TRUE(at::equal(seen[0].reader, want.reader));
  // What an earlier stage has left stays.
  seen[0].reader.fill_(3);
  h.scores({}, &seen);
  EXPECT_EQ(seen[0].reader.min().item<int32_t>(), 3);
}

/// Where little is kept: the sketch chooses the pool, exact features of the pool the slots.
TEST(WpcScorerTest, ASketchAndItsPoolPickAboutAsWellAsTheWholeGram) {
  for (uint64_t seed : {1, 2, 3}) {
    OneHead h(seed, 10);
    h.picks = 20;
    h.budgets = {30};
    const auto full = h.kept(h.scores({{"gram", "full"}}));
    const std::vector<float> by_sketch = h.scores({{"gram", "sketch"}});
    EXPECT_NE(by_sketch, h.scores({{"gram", "full"}}));
    const auto few = h.kept(by_sketch);
    EXPECT_LT(h.residual(few), 1.05 * h.residual(full));
    // What the pool has not is no candidate: at most three times the slots.
    const auto ranked = std::count_if(by_sketch.begin(), by_sketch.end(),
                                      [](float s) { return s != kNoCandidate; });
    EXPECT_GE(ranked, 20);
    EXPECT_LE(ranked, 3 * 30);
    // The same without forced slots.
    OneHead open(seed, 0);
    open.picks = 30;
    open.budgets = {30};
    EXPECT_LT(open.residual(open.kept(open.scores({{"gram", "sketch"}}))),
              1.05 * open.residual(open.kept(open.scores({{"gram", "full"}}))));
  }
}

/// A slot that is kept for other reasons and that no query reads must not spoil its head.
TEST(WpcScorerTest, AForcedSlotThatNobodyReadsChangesNothing) {
  const OneHead plain(5);
  OneHead h(5);
  const OptionTexts sampled = {{"gram", "sampled"}, {"pool", "1"}};
  for (const float bias : {-30.0F, -60.0F, -std::numeric_limits<float>::infinity()}) {
    h.slots.bias = at::zeros({kSlots});
    h.slots.bias[h.order.back()] = bias;
    h.forced[h.order.back()] = 1;
    const std::vector<float> scores = h.scores(sampled);
    const auto ranked =
        std::count_if(scores.begin(), scores.end(), [](float s) { return s != kNoCandidate; });
    EXPECT_GE(ranked, kPicks) << bias;
    EXPECT_LT(h.residual(h.kept(scores)), 1.1 * plain.residual(plain.kept(plain.scores(sampled))));
  }
}

/// Coverage may take more than half of a head, and more slots than the sampled rows can tell apart.
TEST(WpcScorerTest, AHeadThatKeepsMostOfItsSlotsStillChoosesWell) {
  double few = 0, last = 0;
  for (uint64_t seed : {1, 2, 3}) {
    const OneHead h(seed, 180);
    const auto residual = [&](const OptionTexts& options) {
      return h.residual(h.kept(h.scores(options)));
    };
    const double full = residual({{"gram", "full"}});
    std::vector<float> by_coverage = h.earlier, nobody(kSlots, 0.0F);
    for (int64_t i = 0; i < kSlots; ++i) {
      nobody[h.order[i]] = static_cast<float>(i);  // those that are read least
      if (h.forced[i] != 0) by_coverage[i] = -1.0F;
    }
    const double all = residual({{"gram", "sampled"}, {"rows", "100000"}, {"pool", "1"}});
    EXPECT_LT(all, h.residual(h.kept(by_coverage)));
    EXPECT_LT(all, 1.02 * full);
    // 128 rows, 64 forced slots projected out and 116 subtracted.
    few += residual({{"gram", "sampled"}, {"rows", "256"}, {"pool", "1"}}) / full;
    last += h.residual(h.kept(nobody)) / full;
  }
  EXPECT_LT(few, 0.85 * last);
}

/// Slots outside the pool that nobody reads: the others must come out as without a pool, also where
/// forced slots are subtracted with their values (of 118 rows and 60 such slots, 31).
TEST(WpcScorerTest, APoolWithoutSlotsThatNobodyReadsRanksAsTheWholeHead) {
  OneHead h(6, 60);
  h.slots.bias = at::zeros({kSlots});
  for (int64_t i = 240; i < kSlots; ++i) h.slots.bias[h.order[i]] = -60.0F;
  for (const char* rows : {"100000", "118"}) {
    const auto first_picks = [&](const char* pool) {
      const std::vector<float> scores = h.scores({{"gram", "sampled"},
                                                  {"rows", rows},
                                                  {"pool", pool},
                                                  {"pool_least", "64"},
                                                  {"reach", "1"}});
      std::vector<int64_t> all(kSlots);
      std::iota(all.begin(), all.end(), 0);
      std::stable_sort(all.begin(), all.end(),
                       [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
      return std::vector<int64_t>(all.begin(), all.begin() + 15);
    };
    EXPECT_EQ(first_picks("0.8"), first_picks("1")) << rows;
  }
}

TEST(WpcScorerTest, APoolHoldsWhatTheStageBeforeRatesHighest) {
  const OneHead h(4);
  const std::vector<float> scores =
      h.scores({{"gram", "sampled"}, {"pool", "0.5"}, {"pool_least", "64"}, {"reach", "1"}});
  const int64_t pool = 192;  // half, in whole multiples of 64
  int64_t ranked = 0;
  for (int64_t i = 0; i < kSlots; ++i) {
    if (scores[h.order[i]] == kNoCandidate) continue;
    ++ranked;
    EXPECT_LT(i, pool);
    EXPECT_EQ(h.forced[h.order[i]], 0);
  }
  EXPECT_GE(ranked, kPicks);
}

}  // namespace
}  // namespace limbeck
