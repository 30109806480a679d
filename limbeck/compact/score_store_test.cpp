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
