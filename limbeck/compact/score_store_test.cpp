#include "limbeck/compact/score_store.h"

#include "limbeck/compact/contest.h"
#include "limbeck/compact/read_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

CompactOptions options(const std::string& method, double ratio) {
  CompactOptions o = test::compact_options(method, ratio, 50);
  o.span = PositionRange{6, 84};
  return o;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || at::equal(a, b));
}

void expect_same(const KvCache& a, const KvCache& b, const std::string& what) {
  ASSERT_EQ(a.segments().size(), b.segments().size()) << what;
  for (int64_t l = 0; l < a.shape().layer_count(); ++l)
    for (size_t s = 0; s < a.segments().size(); ++s) {
      const LayerSegment &x = *a.layer(l).segments[s], &y = *b.layer(l).segments[s];
      EXPECT_EQ(x.offsets, y.offsets) << what;
      EXPECT_TRUE(same(x.positions, y.positions) && same(x.keys, y.keys) &&
                  same(x.values, y.values) && same(x.bias, y.bias))
          << what << ", layer " << l;
    }
}

/// One method after another and ratio after ratio from one store, in rising or falling order,
/// against each by itself.
TEST(ScoreStoreTest, TakenOverOrNotMakesNoDifference) {
  const test::Read r({0, 0, 0}, DType::f32, 90);
  const std::vector<std::vector<double>> orders = {{0.5, 0.25, 0.1}, {0.1, 0.25, 0.5}};
  for (const std::vector<double>& ratios : orders) {
    ScoreStore store;
    std::map<std::string, StoredQueries> queries;
    for (const std::string method : {"am-hak",    "am-omp",          "am-omp-gram",
                                     "compactor", "compactor-adakv", "compactor-kvpress",
                                     "critical",  "expected",        "expected+fit",
                                     "h2o",       "knorm",           "kvzip",
                                     "kvzip-fit", "leverage",        "limbeck",
                                     "noncausal", "pyramidkv",       "sage",
                                     "snapkv",    "streaming",       "tova",
                                     "wpc"}) {
      const bool learns = method_needs_queries(options(method, 0.5));
      // Methods that read the same share their queries, as evaluations do.
      const std::string source = find_preset(method).queries.repeat ? "repeat" : "excerpts";
      if (learns && !queries.contains(source))
        queries[source] = capture_queries(r.model, r.cache, options(method, 0.5));
      for (const double ratio : ratios) {
        CompactOptions o = options(method, ratio);
        if (learns) o.queries = &queries.at(source);
        KvCache alone = r.cache.clone(), sharing = r.cache.clone();
        const CompactReport want = compact(r.model, alone, o);
        o.scores = &store;
        const CompactReport got = compact(r.model, sharing, o);
        const std::string what = method + " at " + std::to_string(ratio);
        expect_same(sharing, alone, what);
        EXPECT_EQ(got.kept, want.kept) << what;
        EXPECT_DOUBLE_EQ(sharing.meter().report().footprint_total,
                         alone.meter().report().footprint_total)
            << what;
      }
    }
  }
}

/// With few of the rows, other builders and scorers that tell half of what rows see.
TEST(ScoreStoreTest, LimitedRowsAndOtherPartsMakeNoDifference) {
  std::vector<CompactOptions> all;
  const auto add = [&](const std::string& method) -> CompactOptions& {
    all.push_back(options(method, 0.5));
    return all.back();
  };
  add("am-hak").builder_options["rows"] = "64";
  add("am-hak").builder = "copy";
  add("am-hak").builder = "fit";
  CompactOptions& few = add("am-hak");
  few.builder = "fit";
  few.builder_options = {{"limit", "64"}, {"rows", "32"}};
  add("limbeck").builder_options = {{"limit", "64"}, {"rows", "32"}};
  CompactOptions& stages = add("limbeck");
  stages.coverage = "attention";
  stages.coverage_options["reduce"] = "rms";
  CompactOptions& literal = add("limbeck");
  literal.coverage = "attention";
  literal.coverage_options["reduce"] = "rms";
  literal.builder = "fit-literal";
  literal.builder_options["rows"] = "40";
  // Budgets decide about these scores, or how far down they are looked at.
  add("critical").scorer_options = {{"window", "4"}};
  add("am-omp-gram").allocator = "pyramid";
  add("am-omp-gram").allocator = "model";
  all.back().normalize = "rank";
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const test::Read r({0, 0, 0}, dtype, 90);
    const StoredQueries queries = capture_queries(r.model, r.cache, options("am-hak", 0.5));
    ScoreStore store;
    for (size_t i = 0; i < all.size(); ++i)
      for (const double ratio : {0.5, 0.2}) {
        CompactOptions o = all[i];
        o.ratio = ratio;
        o.queries = &queries;
        KvCache alone = r.cache.clone(), sharing = r.cache.clone();
        compact(r.model, alone, o);
        o.scores = &store;
        compact(r.model, sharing, o);
        expect_same(sharing, alone, std::to_string(i) + " at " + std::to_string(ratio));
      }
  }
}

TEST(ScoreStoreTest, AnotherMethodTakesOverTheTextsOwnQueries) {
  const test::Read r({0, 0, 0}, DType::f32, 90);
  const PositionRange span{6, 84};
  ScoreStore store;
  std::vector<OwnQueries> first, again;
  const auto read = [&](ScoreStore* to, int64_t rows, std::vector<OwnQueries>& out) {
    out.clear();
    return for_each_shared_own_layer(to, r.model, r.cache, span, rows,
                                     [&](const OwnQueries& own) { out.push_back(own); }, {});
  };
  EXPECT_EQ(read(nullptr, 78, first), 0.0);
  EXPECT_EQ(store.find_own(span, 78), nullptr);
  EXPECT_EQ(read(&store, 78, again), 0.0);
  ASSERT_NE(store.find_own(span, 78), nullptr);
  EXPECT_EQ(store.find_own(span, 8), nullptr);
  EXPECT_EQ(store.find_own({6, 83}, 78), nullptr);
  EXPECT_GT(read(&store, 78, again), 0.0);  // the seconds that the pass took
  ASSERT_EQ(again.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(again[i].layer, first[i].layer);
    EXPECT_EQ(again[i].first, first[i].first);
    EXPECT_TRUE(at::equal(again[i].queries, first[i].queries));
  }
}

TEST(ScoreStoreTest, WhatRowsSeeIsKeptWhileThereIsRoom) {
  ScoreStore store;
  EXPECT_TRUE(store.has_room(int64_t{2} << 30));
  HeadAttention wide;  // 1.5 GiB that take four bytes
  wide.outputs = at::zeros({1}, at::kFloat).expand({int64_t{3} << 27});
  StoredScores scores;
  scores.seen.emplace(1, std::vector<HeadAttention>(1, wide));
  store.keep(scores);
  EXPECT_TRUE(store.has_room(int64_t{1} << 29));
  EXPECT_FALSE(store.has_room((int64_t{1} << 29) + 1));
  store.keep(scores);  // in the place of the first
  EXPECT_TRUE(store.has_room(int64_t{1} << 29));
  scores.seen.reset();
  store.keep(scores);
  EXPECT_TRUE(store.has_room(int64_t{2} << 30));
}

TEST(ScoreStoreTest, ServesBudgetsThatItsScoresReach) {
  ScoreStore store;
  ScoreKey key;
  key.scorer = "omp";
  key.forced = {{0, 1, 0}};
  store.keep({key, {{4, 6}}, {{1, 2, 3}}, 0.5});
  const auto found = [&](const ScoreKey& k, BudgetUse use, std::vector<int64_t> budgets) {
    return store.find(k, use, {std::move(budgets)}) != nullptr;
  };
  EXPECT_TRUE(found(key, BudgetUse::none, {9, 9}));
  EXPECT_TRUE(found(key, BudgetUse::prefix, {4, 5}));
  EXPECT_FALSE(found(key, BudgetUse::prefix, {4, 7}));
  EXPECT_FALSE(found(key, BudgetUse::prefix, {4}));
  EXPECT_FALSE(found(key, BudgetUse::all, {4, 6}));
  ScoreKey other = key;
  other.forced = {{0, 0, 0}};
  EXPECT_FALSE(found(other, BudgetUse::none, {4, 6}));
  other = key;
  other.options["form"] = "gram";
  EXPECT_FALSE(found(other, BudgetUse::none, {4, 6}));
  // The same key again takes the place of what was there.
  store.keep({key, {{8, 8}}, {{3, 2, 1}}, 0.7});
  EXPECT_TRUE(found(key, BudgetUse::prefix, {4, 7}));
  EXPECT_EQ(store.find(key, BudgetUse::none, {{1, 1}})->scores[0], (std::vector<float>{3, 2, 1}));
}

}  // namespace
}  // namespace limbeck
