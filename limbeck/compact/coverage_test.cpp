// The first stage of a method of two, by other scorers and allocators.
#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <gtest/gtest.h>

#include <numeric>

namespace limbeck {
namespace {

constexpr int64_t kText = 100;

/// What limbeck keeps with these parts as its first stage.
CompactReport kept(KvCache& cache, const Model& model, const std::string& coverage,
                   const std::string& allocator, double share = 0.7, OptionTexts options = {}) {
  CompactOptions o = test::compact_options("limbeck", 0.3, 40);
  o.coverage = coverage;
  o.coverage_allocator = allocator;
  o.coverage_options = std::move(options);
  o.first_share = share;
  return compact(model, cache, o);
}

bool same_positions(const KvCache& a, const KvCache& b) {
  for (int64_t l = 0; l < a.shape().layer_count(); ++l)
    if (!at::equal(cache_gather(a, l, {0, kText}).positions,
                   cache_gather(b, l, {0, kText}).positions))
      return false;
  return true;
}

TEST(CoverageTest, EveryScorerCanBeTheFirstStage) {
  for (const ScorerEntry& scorer : scorer_registry()) {
    test::Read r({0, 0}, DType::f32, kText);
    const CompactReport report = kept(r.cache, r.model, scorer.name, "uniform");
    EXPECT_EQ(report.entries_after, 4 * 30) << scorer.name;
  }
}

TEST(CoverageTest, AloneItKeepsWhatTheScorerWouldKeep) {
  // A first stage that hands out everything is the method of its scorer and allocator.
  for (const auto& [scorer, allocator] : {std::pair{"snapkv", "adakv"},
                                          {"keydiff", "uniform"},
                                          {"kvzip", "model"},
                                          {"tova", "pyramid"}}) {
    test::Read r({0, 0}, DType::f32, kText);
    KvCache alone = r.cache.clone();
    kept(r.cache, r.model, scorer, allocator, 1.0);
    CompactOptions o = test::compact_options(scorer, 0.3, 40);
    o.allocator = allocator;
    o.sources = find_preset("limbeck").queries;
    compact(r.model, alone, o);
    EXPECT_TRUE(same_positions(r.cache, alone)) << scorer << " x " << allocator;
  }
}

TEST(CoverageTest, TheOptionsTakeEffect) {
  test::Read r({0, 0}, DType::f32, kText);
  KvCache plain = r.cache.clone(), other = r.cache.clone(), shared = r.cache.clone(),
          windowed = r.cache.clone();
  kept(plain, r.model, "", "");
  kept(other, r.model, "snapkv", "");
  kept(shared, r.model, "snapkv", "uniform");
  kept(windowed, r.model, "snapkv", "uniform", 0.7, {{"window", "4"}});
  EXPECT_FALSE(same_positions(plain, other));
  EXPECT_FALSE(same_positions(other, shared));
  EXPECT_FALSE(same_positions(shared, windowed));
  // Seven tenths of every head's budget went by equal shares.
  for (int64_t l = 0; l < 2; ++l)
    for (int64_t h = 0; h < 2; ++h) EXPECT_GE(shared.slots(l, h), 21);
  const SegmentInfo& info = shared.segments()[0];
  EXPECT_EQ(info.method, "limbeck (snapkv x uniform first)");
  EXPECT_EQ(info.options.at("coverage"), "snapkv");
  EXPECT_EQ(info.options.at("coverage_allocator"), "uniform");
}

TEST(CoverageTest, ScoresThatDoNotCompareAreRefused) {
  test::Read r({0, 0}, DType::f32, kText);
  EXPECT_THROW(kept(r.cache, r.model, "knorm", ""), InvalidArgument);
  EXPECT_THROW(kept(r.cache, r.model, "best", "uniform"), InvalidArgument);
  EXPECT_THROW(kept(r.cache, r.model, "snapkv", "best"), InvalidArgument);
}

/// What each head keeps when coverage alone chooses and heads count by these weights.
std::vector<int64_t> kept_by_weights(const std::vector<double>& weights, double power,
                                     const std::string& normalize = "", double ratio = 0.2) {
  test::Read r({0, 0}, DType::f32, kText);
  CompactOptions o = test::compact_options("limbeck", ratio, 40);
  o.first_share = 1.0;
  o.head_power = power;
  o.normalize = normalize;
  o.head_weights = {"weights", "manual", "", "", 2, 2, weights};
  return compact(r.model, r.cache, o).kept;
}

TEST(CoverageTest, HeadsOfHighWeightKeepMoreThePowerDecidesHowMuch) {
  const std::vector<double> weights = {1, 1, 1, 100};
  const auto plain = kept_by_weights(weights, 0.0), some = kept_by_weights(weights, 0.1),
             all = kept_by_weights(weights, 2.0);
  EXPECT_EQ(plain, kept_by_weights({4, 4, 4, 4}, 2.0));  // only ratios of weights count
  EXPECT_GT(some[3], plain[3]);
  EXPECT_GT(all[3], some[3]);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), int64_t{0}),
            std::accumulate(plain.begin(), plain.end(), int64_t{0}));
  // Normalised scores are weighed as well, and weights out of all proportion are no NaN.
  EXPECT_GT(kept_by_weights(weights, 2.0, "share")[3], kept_by_weights(weights, 0.0, "share")[3]);
  const auto extreme = kept_by_weights({0, 1e30, 0, 1e30}, 4.0);
  EXPECT_EQ(std::accumulate(extreme.begin(), extreme.end(), int64_t{0}),
            std::accumulate(plain.begin(), plain.end(), int64_t{0}));
  EXPECT_LT(extreme[0] + extreme[2], plain[0] + plain[2]);
}

TEST(CoverageTest, ATableThatNamesAPowerUsesItWhereLittleIsKept) {
  const auto kept_with = [](double power, double ratio) {
    test::Read r({0, 0}, DType::f32, 200);
    CompactOptions o = test::compact_options("limbeck", ratio, 40);
    o.head_weights = {"weights", "manual", "", "", 2, 2, {1, 1, 1, 50}};
    o.head_weights.coverage_power = power;
    return compact(r.model, r.cache, o).kept;
  };
  EXPECT_NE(kept_with(2.0, 0.02), kept_with(0.0, 0.02));
  EXPECT_EQ(kept_with(2.0, 0.1), kept_with(0.0, 0.1));
}

TEST(CoverageTest, APowerNeedsWeightsAndScoresThatAreNotNegative) {
  test::Read r({0, 0}, DType::f32, kText);
  CompactOptions o = test::compact_options("limbeck", 0.2, 40);
  o.head_power = 0.5;
  EXPECT_THROW(compact(r.model, r.cache, o), InvalidArgument);
  o = test::compact_options("keydiff", 0.2, 40);
  o.head_power = 0.5;
  o.head_weights = {"weights", "manual", "", "", 2, 2, {1, 2, 3, 4}};
  EXPECT_THROW(compact(r.model, r.cache, o), InvalidArgument);
  o.normalize = "rank";
  EXPECT_EQ(compact(r.model, r.cache, o).entries_after, 4 * kText / 5);
}

}  // namespace
}  // namespace limbeck
