// Contests over caches that are not fresh: ragged heads, biases, slots that nobody sees.
#include "limbeck/compact/bounded_prefill.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/compact/score/fixture_testing.h"
#include "limbeck/compact/score/normalize.h"
#include "limbeck/compact/score/own_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr float kDead = -std::numeric_limits<float>::infinity();

at::Tensor scored(const std::string& name, const OptionTexts& options, const LayerSegment& slots) {
  const OwnQueries own{0, 0, 0.5, test::fixture_queries()};
  ScoreInput in = test::fixture_input(slots);
  in.own = &own;
  const std::vector<int64_t> budgets = {4, 4};
  in.budgets = budgets;
  at::Tensor out = at::empty({slots.slots()}, at::kFloat);
  make_scorer(name, options)->score(in, out);
  return out;
}

/// The fixture with a slot in each head that nobody sees and whose contents would spoil any
/// statistic, and the fixture without these slots.
std::pair<LayerSegment, LayerSegment> with_and_without_dead() {
  LayerSegment dead = test::fixture_slots();
  dead.bias = at::zeros({24}, at::kFloat);
  std::vector<int64_t> rest;
  for (const int64_t i : {5, 19}) {
    dead.bias[i] = kDead;
    dead.keys[i].fill_(100.0);
    dead.values[i].fill_(-70.0);
  }
  for (int64_t i = 0; i < 24; ++i)
    if (i != 5 && i != 19) rest.push_back(i);
  return {dead, segment_gather(dead, at::tensor(rest, at::kLong), {0, 11, 22})};
}

TEST(DeadSlotsTest, LeaveBeforeAnyStatistic) {
  const auto [dead, rest] = with_and_without_dead();
  const std::pair<std::string, OptionTexts> scorers[] = {
      {"keydiff", {}},
      {"keydiff", {{"unrope", "false"}}},
      {"lagkv", {{"lag", "3"}, {"sinks", "1"}, {"cross", "true"}}},
      {"cur", {{"window", "4"}, {"sinks", "0"}}},
      {"leverage", {}},
      {"h2o", {}},
      {"sage", {}},
      {"expected", {{"sinks", "1"}}},
  };
  for (const auto& [name, options] : scorers) {
    const at::Tensor all = scored(name, options, dead), some = scored(name, options, rest);
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < 24; ++i)
      if (i != 5 && i != 19) kept.push_back(i);
    const at::Tensor left = all.index_select(0, at::tensor(kept, at::kLong));
    EXPECT_LT((left - some).abs().max().item<float>(), 1e-5) << name;
  }
}

TEST(DeadSlotsTest, NormalizationLeavesThemOut) {
  for (const char* name : {"zscore", "rank", "share"}) {
    std::vector<float> scores = {1, kDead, 3, 2, kDead}, plain = {1, 3, 2};
    const std::vector<int64_t> offsets = {0, 4, 5}, plain_offsets = {0, 3};
    normalize_scores(name, scores, offsets);
    normalize_scores(name, plain, plain_offsets);
    EXPECT_EQ(scores[0], plain[0]) << name;
    EXPECT_EQ(scores[2], plain[1]) << name;
    EXPECT_EQ(scores[3], plain[2]) << name;
    EXPECT_EQ(scores[1], kDead) << name;
    EXPECT_EQ(scores[4], kDead) << name;
  }
}

TEST(DeadSlotsTest, CriticalsBaseDoesNotSpendItsShareOnThem) {
  const auto [dead, rest] = with_and_without_dead();
  LayerSegment loud = dead;
  const at::Tensor scores = scored("critical", {{"base", "sage"}, {"first", "1"}}, loud);
  // Everything that the base chose scores above all others of the layer.
  std::vector<float> head(scores.const_data_ptr<float>(), scores.const_data_ptr<float>() + 12);
  std::sort(head.begin(), head.end(), std::greater<>());
  EXPECT_GT(head[3] - head[4], 0.0F);
  EXPECT_LE(scores[5].item<float>(), head[4]);
}

TEST(KeydiffTest, ASlotThatStandsForManyCountsAsMany) {
  LayerSegment slots = test::fixture_slots(), many = slots;
  // The first slot of head 0 three times, or once with the weight 3.
  std::vector<int64_t> index = {0, 0};
  for (int64_t i = 0; i < 24; ++i) index.push_back(i);
  many = segment_gather(slots, at::tensor(index, at::kLong), {0, 14, 26});
  slots.bias = at::zeros({24}, at::kFloat);
  slots.bias[0] = std::log(3.0F);
  const at::Tensor one = scored("keydiff", {}, slots), all = scored("keydiff", {}, many);
  EXPECT_LT((one - all.narrow(0, 2, 24)).abs().max().item<float>(), 1e-6);
}

TEST(RecompactionTest, RaggedHeadsProtectWhatTheirBudgetAllows) {
  test::Read r({0, 0}, DType::f32, 100);
  compact(r.model, r.cache, test::compact_options("kvzip", 0.3, 40));
  for (const std::string method : {"knorm", "snapkv", "sage", "h2o", "compactor"}) {
    KvCache cache = r.cache.clone();
    const CompactReport report = compact(r.model, cache, test::compact_options(method, 0.2, 40));
    EXPECT_GT(report.entries_after, 0) << method;
  }
}

TEST(RecompactionTest, UnequalSharesProtectWhatTheyAllow) {
  test::Read r({0, 0}, DType::f32, 100);
  CompactOptions o = test::compact_options("snapkv", 0.3, 40);
  o.allocator = "table";
  o.head_shares = {"shares", "manual", {}, {}, 2, 2, {0.9, 0.05, 0.03, 0.02}};
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_EQ(report.entries_after, 4 * 30);
  // Four each, and so much of the other 104.
  EXPECT_EQ(report.kept, (std::vector<int64_t>{98, 9, 7, 6}));
}

TEST(RecompactionTest, ABudgetIsHeldByHeadsThatKeepMoreThanTheirShare) {
  // Chunks shorter than the budget: heads that lost a ranking hold less than it.
  ModelSpec spec = test::small_spec({0, 0});
  spec.context_length = 4096;
  const Model model = random_model(std::move(spec), DType::f32, 31);
  for (const std::string method : {"random", "keydiff"})
    for (const char* allocator : {"model", "layer", "uniform"}) {
      KvCache cache = model.new_cache();
      BoundedPrefillOptions o;
      o.compact.method = method;
      o.compact.allocator = allocator;
      o.compact.normalize = "rank";
      o.compact.budget = 200;
      o.chunk = 50;
      prefill_bounded(model, cache, test::random_tokens(900, 4), o);
      EXPECT_DOUBLE_EQ(cache.mean_slots(), 200.0) << method << " " << allocator;
    }
}

TEST(KnormTest, SkippedLayersKeepEverythingAndTheReportCountsThem) {
  test::Read r({0, 6, 0}, DType::f32, 100);
  CompactOptions o = test::compact_options("knorm", 0.2, 40);
  o.scorer_options["skip_layers"] = "1";
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_EQ(report.kept, (std::vector<int64_t>{100, 100, 20, 20}));
  EXPECT_DOUBLE_EQ(report.achieved_ratio, 0.6);
  EXPECT_EQ(report.notes.back(), "the first 1 full layers keep everything, beyond the budget");
}

TEST(H2oRunningTest, SumsGoOnFromTheContestBefore) {
  test::Read r({0, 0}, DType::f32, 100);
  CompactOptions o = test::compact_options("h2o", 0.4, 40);
  o.scorer_options = {{"form", "running"}};
  compact(r.model, r.cache, o);
  const KvCache first = r.cache.clone();
  for (int64_t l = 0; l < 2; ++l) {
    const LayerSegment& kept = *first.layer(l).segments[0];
    EXPECT_EQ(kept.extras.at("h2o").size(0), kept.slots());
    // The newer half of the budget is always there.
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = 20; i < 40; ++i)
        EXPECT_EQ(kept.positions[kept.offsets[h] + i].item<int32_t>(), 60 + i);
  }
  prefill(r.model, r.cache, test::random_tokens(30, 8));
  const KvCache grown = r.cache.clone();
  // What the new rows give, from the formula, and what there was before.
  std::vector<at::Tensor> expected(2);
  const PositionRange all{0, 130};
  for_each_own_layer(r.model, grown, all, 30, [&](const OwnQueries& own) {
    const LayerSegment slots = cache_gather(grown, own.layer, all);
    at::Tensor sum = slots.extras.at("h2o").clone();
    EXPECT_EQ(sum.ne(0).sum().item<int64_t>(), 80);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t g = 0; g < 3; ++g) {
        OwnAttention a;
        a.queries = own.queries[3 * h + g];
        a.first = own.first;
        a.keys = slots.keys.narrow(0, slots.offsets[h], slots.slots(h));
        a.positions = slots.positions.narrow(0, slots.offsets[h], slots.slots(h));
        a.scale = own.scale;
        sum.narrow(0, slots.offsets[h], slots.slots(h)).add_(attention_sums_plain(a) / 3.0);
      }
    expected[own.layer] = sum;
  });
  o.ratio = 0.5;
  compact(r.model, r.cache, o);
  // Only the new rows were read again: 30 behind 70 entries.
  const FootprintReport f = r.cache.meter().report(), g = grown.meter().report();
  const double rows = 130.0 * 131 / 2;
  EXPECT_NEAR(f.footprint_total - g.footprint_total, (30.0 * 31 / 2 + 30.0 * 70) / rows, 1e-9);
  for (int64_t l = 0; l < 2; ++l) {
    const LayerSegment slots = cache_gather(grown, l, all);
    const LayerSegment& kept = *r.cache.layer(l).segments[0];
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = kept.offsets[h]; i < kept.offsets[h + 1]; ++i) {
        const at::Tensor where = slots.positions.narrow(0, slots.offsets[h], slots.slots(h))
                                     .eq(kept.positions[i])
                                     .nonzero();
        EXPECT_NEAR(kept.extras.at("h2o")[i].item<float>(),
                    expected[l][slots.offsets[h] + where[0][0].item<int64_t>()].item<float>(),
                    1e-4);
      }
  }
  // Nothing new: the same sums decide once more.
  KvCache again = r.cache.clone();
  EXPECT_EQ(compact(r.model, again, o).entries_after, 4 * 17);
}

TEST(OwnQueriesTest, TheTextReadAgainCountsAsAuxiliaryRows) {
  test::Read r({0, 0}, DType::f32, 100);
  EXPECT_DOUBLE_EQ(r.cache.meter().report().footprint_total, 1.0);
  compact(r.model, r.cache, test::compact_options("snapkv", 0.5, 40));
  const FootprintReport report = r.cache.meter().report();
  // A window of 64 rows behind 100 entries, over the 5050 of the text.
  const double aux = (64.0 * 65 / 2 + 64.0 * 100) / 5050;
  EXPECT_DOUBLE_EQ(report.footprint, 1.0);
  EXPECT_NEAR(report.footprint_total, 1.0 + aux, 1e-12);
}

}  // namespace
}  // namespace limbeck
