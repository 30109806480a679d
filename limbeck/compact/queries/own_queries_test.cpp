#include "limbeck/compact/queries/own_queries.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace limbeck {
namespace {

constexpr int64_t kText = 90;

struct Read : test::Read {
  explicit Read(std::vector<int64_t> windows = {0, 0, 0}, DType type = DType::f32)
      : test::Read(std::move(windows), type, kText) {}
};

/// The queries of a whole forward pass, layer by layer.
class QueryProbe : public Probe {
 public:
  uint32_t needs(int64_t) const override { return kProbeQueries; }
  void on_layer(const LayerSignals& s) override { queries[s.layer] = s.queries.clone(); }
  std::map<int64_t, at::Tensor> queries;
};

std::map<int64_t, at::Tensor> all_queries(const Model& model) {
  QueryProbe probe;
  KvCache cache = model.new_cache();
  model.forward(cache, test::random_tokens(kText, 4), {}, &probe);
  return probe.queries;
}

TEST(OwnQueriesTest, RowsAreThoseOfTheForwardPassThatReadTheText) {
  for (const std::vector<int64_t>& windows :
       {std::vector<int64_t>{0, 0, 0}, std::vector<int64_t>{0, 6, 0}}) {
    const Read r(windows);
    const auto want = all_queries(r.model);
    for (const PositionRange& span : {PositionRange{0, kText}, PositionRange{11, 70}})
      for (const int64_t rows : {int64_t{1}, int64_t{8}, kAllRows}) {
        std::set<int64_t> layers;
        for_each_own_layer(r.model, r.cache, span, rows, [&](const OwnQueries& q) {
          layers.insert(q.layer);
          EXPECT_EQ(q.first, span.end - std::min(rows, span.size()));
          ASSERT_EQ(q.rows(), span.end - q.first);
          EXPECT_LT(test::max_difference(q.queries, want.at(q.layer).narrow(1, q.first, q.rows())),
                    2e-4)
              << "layer " << q.layer << ", " << rows << " rows of " << span.begin;
          const OwnQueries tail = q.last(3);
          EXPECT_EQ(tail.first + tail.rows(), span.end);
          EXPECT_EQ(tail.rows(), std::min<int64_t>(3, q.rows()));
        });
        EXPECT_EQ(layers,
                  windows[1] == 0 ? (std::set<int64_t>{0, 1, 2}) : (std::set<int64_t>{0, 2}));
      }
  }
}

TEST(OwnQueriesTest, TheCacheIsNotChanged) {
  const Read r;
  const KvCache before = r.cache.clone();
  for_each_own_layer(r.model, r.cache, {0, kText}, 4, [](const OwnQueries&) {});
  EXPECT_TRUE(cache_equal(before, r.cache));
}

CompactOptions options_for(const std::string& method, double ratio) {
  CompactOptions o = test::compact_options(method, ratio, 50);
  o.span = PositionRange{6, 84};
  return o;
}

/// Positions that a head of a layer holds of the span.
std::vector<int32_t> kept(const KvCache& cache, int64_t layer, int64_t head) {
  const LayerSegment s = cache_gather(cache, layer, {6, 84});
  const int32_t* p = s.positions.const_data_ptr<int32_t>();
  return {p + s.offsets[head], p + s.offsets[head + 1]};
}

/// The last token's attention over all that it sees, from a plain forward pass.
TEST(OwnQueriesTest, SageKeepsWhatTheLastTokenOfTheSpanAttendsTo) {
  Read r;
  const KvCache before = r.cache.clone();
  const auto queries = all_queries(r.model);
  CompactOptions o = options_for("sage", 0.2);
  o.scorer_options = {{"sinks", "0"}, {"recent", "1"}};
  compact(r.model, r.cache, o);
  for (int64_t l = 0; l < 3; ++l) {
    const LayerSegment all = cache_gather(before, l, {0, 84});
    for (int64_t h = 0; h < 2; ++h) {
      const at::Tensor q = queries.at(l).narrow(0, 3 * h, 3).select(1, 83);
      const at::Tensor p =
          at::softmax(at::mm(q, all.keys.narrow(0, all.offsets[h], 84).t()) * 0.25, 1).mean(0);
      at::Tensor score = p.narrow(0, 6, 78).clone();
      score[77] = 2.0;
      const at::Tensor best = std::get<1>(score.topk(15));
      std::vector<int32_t> want;
      for (int64_t i = 0; i < 15; ++i) want.push_back(6 + best[i].item<int32_t>());
      std::sort(want.begin(), want.end());
      EXPECT_EQ(kept(r.cache, l, h), want) << l << " " << h;
    }
  }
}

TEST(OwnQueriesTest, MethodsWithOwnQueriesNeedNoReferenceQueries) {
  for (const char* method : {"compactor", "snapkv", "h2o", "expected", "critical", "pyramidkv"}) {
    Read r;
    CompactOptions o = options_for(method, 0.3);
    o.repeat = {};
    const CompactReport report = compact(r.model, r.cache, o);
    EXPECT_EQ(report.entries_after, 3 * 2 * 23) << method;
  }
}

/// The scorer gets the text's own queries, the fit those of the repeat.
TEST(OwnQueriesTest, AnyScorerCanBeFitted) {
  for (const char* scorer :
       {"compactor", "snapkv", "h2o", "tova", "expected", "leverage", "keydiff", "noncausal"}) {
    Read copied, fitted;
    KvCache full = copied.cache.clone();
    compact(copied.model, copied.cache, options_for(scorer, 0.3));
    const CompactReport report =
        compact(fitted.model, fitted.cache, options_for(std::string(scorer) + "+fit", 0.3));
    EXPECT_EQ(report.method, std::string(scorer) + "+fit");
    EXPECT_EQ(report.builder, "fit");
    EXPECT_GT(report.statistics.at("fitted_heads"), 0) << scorer;
    const auto next = test::random_tokens(6, 8);
    ForwardOptions all;
    all.logits = LogitsWanted::all;
    const at::Tensor want = at::log_softmax(copied.model.forward(full, next, all).logits, -1);
    const auto distance = [&](Read& r) {
      const at::Tensor got = at::log_softmax(r.model.forward(r.cache, next, all).logits, -1);
      return (want.exp() * (want - got)).sum(-1).mean().item<double>();
    };
    for (int64_t l = 0; l < 3; ++l)
      for (int64_t h = 0; h < 2; ++h)
        EXPECT_EQ(kept(copied.cache, l, h), kept(fitted.cache, l, h)) << scorer;
    EXPECT_LT(distance(fitted), distance(copied)) << scorer;
  }
}

TEST(OwnQueriesTest, TheBuilderOptionIsTheSameAsTheSuffix) {
  Read a, b;
  compact(a.model, a.cache, options_for("snapkv+fit", 0.3));
  CompactOptions o = options_for("snapkv", 0.3);
  o.builder = "fit";
  compact(b.model, b.cache, o);
  for (int64_t l = 0; l < 3; ++l) {
    const LayerSegment x = cache_gather(a.cache, l, {6, 84}), y = cache_gather(b.cache, l, {6, 84});
    EXPECT_TRUE(at::equal(x.bias, y.bias) && at::equal(x.values, y.values));
  }
}

TEST(OwnQueriesTest, PiecesAndSecondGenerationsAreScoredByTheirOwnQueries) {
  for (const char* method : {"compactor", "snapkv", "h2o", "expected", "sage", "tova"}) {
    Read r;
    CompactOptions o = options_for(method, 0.5);
    o.chunk = 26;
    EXPECT_EQ(compact(r.model, r.cache, o).entries_after, 3 * 2 * 39) << method;
    o.chunk = 0;
    o.ratio = 0.4;
    const CompactReport again = compact(r.model, r.cache, o);
    EXPECT_EQ(again.entries_before, 3 * 2 * 39) << method;
    EXPECT_EQ(again.entries_after, 3 * 2 * 15) << method;
    // Slots of fitted caches have biases and stand for several tokens.
    Read fitted;
    compact(fitted.model, fitted.cache, options_for("limbeck", 0.5));
    compact(fitted.model, fitted.cache, options_for(method, 0.5));
    EXPECT_EQ(fitted.cache.logical_length(), kText);
  }
}

TEST(OwnQueriesTest, RaggedHeadsAndEmptyOnesAreScored) {
  for (const ScorerEntry& e : scorer_registry())
    for (const uint64_t seed : {1, 2, 3}) {  // each leaves other heads without slots
      Read r({0, 6, 0});
      test::compact_randomly(r.cache, seed);
      CompactOptions o = options_for(e.name, 0.5);
      o.span = PositionRange{0, kText};
      o.allocator = "layer";
      if (make_scorer(e.name)->traits().normalizable) o.normalize = "rank";
      o.protect_overflow = true;
      const CompactReport report = compact(r.model, r.cache, o);
      EXPECT_LE(report.entries_after, report.entries_before) << e.name;
      EXPECT_EQ(r.cache.logical_length(), kText);
    }
}

TEST(OwnQueriesTest, Bf16CachesAreScored) {
  for (const char* method : {"compactor", "snapkv", "h2o", "expected", "critical", "fast"}) {
    Read r({0, 6, 0}, DType::bf16);
    const CompactReport report = compact(r.model, r.cache, options_for(method, 0.3));
    EXPECT_EQ(report.entries_after, 2 * 2 * 23) << method;
  }
}

TEST(OwnQueriesTest, ASmallBudgetShrinksTheWindowAndSaysSo) {
  Read r;
  const CompactReport report = compact(r.model, r.cache, options_for("snapkv", 0.1));
  EXPECT_EQ(report.entries_after, 3 * 2 * 7);
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_EQ(report.notes[0],
            "a budget of 7 slots per head protects 0 first and 3 last slots instead of 0 and 64");
  const std::vector<int32_t> slots = kept(r.cache, 1, 1);
  EXPECT_EQ((std::vector<int32_t>{slots.end() - 3, slots.end()}),
            (std::vector<int32_t>{81, 82, 83}));
}

TEST(OwnQueriesTest, RankingsThatAreNotComparableAreRefused) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"knorm", "adakv"},     {"cur", "layer"},      {"lagkv", "chunk"},
      {"compactor", "model"}, {"h2o", "model"},      {"expected", "threshold"},
      {"streaming", "layer"}, {"critical", "model"}, {"leverage", "threshold"},
      {"noncausal", "model"}};
  for (const auto& [method, allocator] : bad) {
    Read r;
    CompactOptions o = options_for(method, 0.3);
    o.allocator = allocator;
    EXPECT_THROW(compact(r.model, r.cache, o), InvalidArgument) << method << " x " << allocator;
    o.normalize = "rank";
    EXPECT_NO_THROW(compact(r.model, r.cache, o)) << method << " x " << allocator;
  }
}

TEST(OwnQueriesTest, ProtectedRangesAreChargedByEveryAllocator) {
  for (const char* allocator : {"uniform", "model", "adakv", "layer", "pyramid", "chunk"}) {
    Read r;
    CompactOptions o = options_for("sage", 0.4);
    o.scorer_options = {{"sinks", "0"}, {"recent", "0"}};
    o.allocator = allocator;
    o.protect = {{20, 32}};
    const CompactReport report = compact(r.model, r.cache, o);
    EXPECT_EQ(report.entries_after, 3 * 2 * 31) << allocator;
    for (int64_t l = 0; l < 3; ++l)
      for (int64_t h = 0; h < 2; ++h) {
        const std::vector<int32_t> slots = kept(r.cache, l, h);
        for (int32_t p = 20; p < 32; ++p)
          EXPECT_TRUE(std::binary_search(slots.begin(), slots.end(), p)) << allocator;
      }
  }
}

}  // namespace
}  // namespace limbeck
