// Compaction layer by layer inside the forward call of a chunk.
#include "limbeck/base/error.h"
#include "limbeck/compact/bounded_prefill.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

Model long_model(std::vector<int64_t> windows, DType dtype = DType::f32) {
  ModelSpec spec = test::small_spec(std::move(windows));
  spec.context_length = 1 << 17;
  return random_model(std::move(spec), dtype, 31);
}

struct Method {
  std::string method, allocator;
  OptionTexts options;
};

BoundedPrefillOptions options_for(const Method& m, ChunkRule rule, bool by_layer) {
  BoundedPrefillOptions o;
  o.compact.method = m.method;
  o.compact.allocator = m.allocator;
  o.compact.scorer_options = m.options;
  o.compact.budget = 90;
  o.rule = rule;
  o.chunk = 100;
  o.begin = 7;
  o.by_layer = by_layer;
  return o;
}

TEST(ChunkFoldTest, RefusesWhatNobodyReadsAsAfterTheChunk) {
  const Model model = long_model({0, 0});
  const auto tokens = test::random_tokens(200, 3);
  for (const bool by_layer : {true, false}) {
    BoundedPrefillOptions o = options_for({"keydiff", "", {}}, ChunkRule::everything, by_layer);
    o.compact.head_shares.layers = 2;
    o.compact.head_shares.kv_heads = model.spec().kv_heads;
    o.compact.head_shares.values.assign(2 * model.spec().kv_heads, 1.0);
    KvCache cache = model.new_cache();
    EXPECT_THROW(prefill_bounded(model, cache, tokens, o), InvalidArgument) << by_layer;
    EXPECT_EQ(cache.logical_length(), 0);
  }
}

TEST(ChunkFoldTest, ScorersOfKeysAndValuesChooseTheSameAsAfterTheChunk) {
  const Model model = long_model({0, 6, 0});
  const auto tokens = test::random_tokens(460, 3);
  for (const Method& m :
       {Method{"knorm", "", {}}, Method{"keydiff", "", {}}, Method{"leverage", "adakv", {}},
        Method{"lagkv", "", {{"lag", "16"}}}, Method{"cur", "", {}}, Method{"random", "layer", {}},
        Method{"streaming", "norm-stop", {}}, Method{"keydiff", "chunk", {}}})
    for (const ChunkRule rule : {ChunkRule::everything, ChunkRule::chunk}) {
      KvCache folded = model.new_cache(), after = model.new_cache();
      const auto a = prefill_bounded(model, folded, tokens, options_for(m, rule, true));
      const auto b = prefill_bounded(model, after, tokens, options_for(m, rule, false));
      EXPECT_EQ(a.compactions, b.compactions) << m.method;
      EXPECT_DOUBLE_EQ(a.measured_peak, b.measured_peak) << m.method;
      EXPECT_EQ(a.compaction.kept, b.compaction.kept) << m.method;
      ASSERT_EQ(folded.segments().size(), after.segments().size()) << m.method;
      for (const int64_t l : {0, 2}) {
        const LayerSegment x = cache_gather(folded, l, {0, 460}),
                           y = cache_gather(after, l, {0, 460});
        EXPECT_TRUE(at::equal(x.positions, y.positions)) << m.method << " layer " << l;
        EXPECT_TRUE(at::equal(x.keys, y.keys)) << m.method << " layer " << l;
      }
      const FootprintReport f = folded.meter().report(), g = after.meter().report();
      EXPECT_DOUBLE_EQ(f.footprint, g.footprint) << m.method;
      EXPECT_DOUBLE_EQ(f.peak, g.peak) << m.method;
      EXPECT_EQ(folded.segments().back().method, after.segments().back().method);
      EXPECT_TRUE(at::equal(model.forward(folded, std::vector<int32_t>{1}).logits,
                            model.forward(after, std::vector<int32_t>{1}).logits))
          << m.method;
    }
}

/// Entries that both hold, of those that the first one holds.
double overlap(const KvCache& a, const KvCache& b) {
  int64_t both = 0, all = 0;
  for (int64_t l = 0; l < a.shape().layer_count(); ++l) {
    const PositionRange range{0, a.logical_length()};
    const LayerSegment x = cache_gather(a, l, range), y = cache_gather(b, l, range);
    for (int64_t h = 0; h < x.kv_heads(); ++h) {
      const auto of = [&](const LayerSegment& s) {
        const int32_t* p = s.positions.const_data_ptr<int32_t>();
        return std::set<int32_t>(p + s.offsets[h], p + s.offsets[h + 1]);
      };
      const std::set<int32_t> here = of(x), there = of(y);
      all += static_cast<int64_t>(here.size());
      for (const int32_t p : here) both += there.contains(p) ? 1 : 0;
    }
  }
  return static_cast<double>(both) / static_cast<double>(all);
}

TEST(ChunkFoldTest, OwnQueriesAreThoseThatAreReadAgain) {
  // The chunk's rows read again behind the same cache: equal up to the order of sums.
  const Model model = long_model({0, 0});
  const auto tokens = test::random_tokens(460, 3);
  for (const Method& m :
       {Method{"snapkv", "", {{"window", "16"}}}, Method{"tova", "", {}}, Method{"sage", "", {}},
        Method{"h2o", "adakv", {}}, Method{"expected", "", {}}, Method{"compactor", "", {}},
        Method{"critical", "", {{"window", "16"}}}}) {
    KvCache folded = model.new_cache(), after = model.new_cache();
    prefill_bounded(model, folded, tokens, options_for(m, ChunkRule::chunk, true));
    prefill_bounded(model, after, tokens, options_for(m, ChunkRule::chunk, false));
    EXPECT_GT(overlap(folded, after), 0.99) << m.method;
    // Nothing was read again.
    const FootprintReport f = folded.meter().report();
    EXPECT_DOUBLE_EQ(f.footprint, f.footprint_total) << m.method;
    EXPECT_GT(after.meter().report().footprint_total, f.footprint_total) << m.method;
  }
}

TEST(ChunkFoldTest, MethodsThatNeedMoreRunAfterTheChunk) {
  const Model model = long_model({0, 0});
  const auto tokens = test::random_tokens(460, 3);
  for (const Method& m : {Method{"random", "model", {}}, Method{"pyramidkv", "", {}},
                          Method{"h2o", "", {}}, Method{"knorm", "", {{"skip_layers", "1"}}}}) {
    KvCache asked = model.new_cache(), after = model.new_cache();
    const ChunkRule rule = ChunkRule::everything;
    prefill_bounded(model, asked, tokens, options_for(m, rule, true));
    prefill_bounded(model, after, tokens, options_for(m, rule, false));
    EXPECT_TRUE(cache_equal(asked, after)) << m.method;
  }
}

TEST(ChunkFoldTest, StreamingHeadsTakeTheirsAndTheOthersAreFolded) {
  const Model model = long_model({0, 0});
  HeadPattern pattern;
  pattern.layers = pattern.kv_heads = 2;
  pattern.streaming = {1, 0, 1, 1};
  pattern.sinks = 4;
  pattern.window = 16;
  KvCache folded = model.new_cache(), after = model.new_cache();
  folded.set_head_pattern(pattern);
  after.set_head_pattern(pattern);
  const auto tokens = test::random_tokens(460, 3);
  const Method m{"keydiff", "", {}};
  prefill_bounded(model, folded, tokens, options_for(m, ChunkRule::everything, true));
  prefill_bounded(model, after, tokens, options_for(m, ChunkRule::everything, false));
  EXPECT_EQ(folded.slots(0, 1), 97);
  EXPECT_EQ(folded.slots(0, 0), 20);
  EXPECT_TRUE(at::equal(model.forward(folded, std::vector<int32_t>{1}).logits,
                        model.forward(after, std::vector<int32_t>{1}).logits));
}

TEST(ChunkFoldTest, NoMoreThanOneLayersCopiesAreHeldBesideTheBudget) {
  const Model model = long_model({0, 0, 0, 0, 0, 0, 0, 0});
  const auto tokens = test::random_tokens(3000, 3);
  BoundedPrefillOptions o;
  o.compact.method = "keydiff";
  o.compact.budget = 400;
  o.chunk = 200;
  KvCache folded = model.new_cache(), after = model.new_cache();
  const auto a = prefill_bounded(model, folded, tokens, o);
  o.by_layer = false;
  prefill_bounded(model, after, tokens, o);
  const double slot = 2.0 * static_cast<double>(folded.shape().slot_bytes()), layers = 8;
  const double nominal = a.nominal_peak * slot * layers;
  EXPECT_LT(a.bytes_peak, 1.1 * nominal);
  EXPECT_LT(folded.meter().report().kv_bytes_peak, 1.1 * nominal);
  EXPECT_GT(after.meter().report().kv_bytes_peak, 1.5 * nominal);
}

TEST(ChunkFoldTest, AutomaticChunksShrinkTheWindow) {
  const Model model = long_model({0, 0});
  BoundedPrefillOptions o;
  o.compact.method = "snapkv";
  o.compact.ratio = 0.5;
  o.rule = ChunkRule::chunk;
  KvCache cache = model.new_cache();
  const auto r = prefill_bounded(model, cache, test::random_tokens(400, 3), o);
  EXPECT_EQ(r.chunk, 128);
  EXPECT_EQ(cache.segments()[0].options.at("snapkv.window"), "8");
  // The last 8 of every chunk are there.
  for (const int64_t p : {120, 127, 255})
    EXPECT_EQ(cache_gather(cache, 1, {p, p + 1}).slots(), 2) << p;
  o.chunk = 128;
  KvCache given = model.new_cache();
  prefill_bounded(model, given, test::random_tokens(400, 3), o);
  EXPECT_FALSE(given.segments()[0].options.contains("snapkv.window"));
}

// Acceptance: 64k tokens under a budget of 4k entries a head.
TEST(ChunkFoldSlowTest, SixtyFourThousandTokensHoldThePeakOfFourThousand) {
  ModelSpec spec;
  spec.family = "llama";
  spec.hidden = 32;
  spec.intermediate = 32;
  spec.query_heads = spec.kv_heads = 1;
  spec.head_dim = 32;
  spec.vocabulary = 97;
  spec.context_length = 65536;
  spec.softmax_scale = 0.18;
  for (int l = 0; l < 8; ++l) spec.layers.push_back({LayerKind{}, RopeSpec{}});
  const Model model = random_model(std::move(spec), DType::bf16, 31);
  BoundedPrefillOptions o;
  o.compact.method = "keydiff";
  o.compact.budget = 4096;
  KvCache cache = model.new_cache();
  const auto r = prefill_bounded(model, cache, test::random_tokens(65536, 1), o);
  EXPECT_EQ(r.chunk, 2048);
  EXPECT_DOUBLE_EQ(r.nominal_peak, 4096 + 2048);
  EXPECT_DOUBLE_EQ(r.measured_peak, r.nominal_peak);
  EXPECT_DOUBLE_EQ(cache.mean_slots(), 4096.0);
  const double nominal = r.nominal_peak * 8 * static_cast<double>(cache.shape().slot_bytes());
  EXPECT_LT(r.bytes_peak, 1.1 * nominal);
  EXPECT_LT(cache.meter().report().kv_bytes_peak, 1.1 * nominal);
  EXPECT_LT(r.bytes_peak, cache.full_bytes() / 8);
}

}  // namespace
}  // namespace limbeck
