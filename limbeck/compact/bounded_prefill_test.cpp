#include "limbeck/compact/bounded_prefill.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

/// A random model with a window far longer than the budgets of these tests.
const Model& long_model() {
  static const Model model = [] {
    ModelSpec spec = test::small_spec({0, 0});
    spec.context_length = 32768;
    return random_model(std::move(spec), DType::f32, 31);
  }();
  return model;
}

BoundedPrefillOptions with_budget(const std::string& method, int64_t budget, int64_t chunk) {
  BoundedPrefillOptions o;
  o.compact.method = method;
  o.compact.budget = budget;
  o.chunk = chunk;
  return o;
}

RepeatPrompt repeat() {
  RepeatPrompt p;
  p.first = test::random_tokens(5, 1);
  p.before_quote = test::random_tokens(4, 2);
  p.after_quote = test::random_tokens(3, 3);
  return p;
}

TEST(BoundedPrefillTest, ThePeakIsBudgetAndChunkHoweverLongTheText) {
  const Model& model = long_model();
  const int64_t n = 12000, budget = 600, chunk = 400;
  KvCache cache = model.new_cache();
  // After the chunk: of two layers, one layer's copies would be half of everything.
  BoundedPrefillOptions o = with_budget("keydiff", budget, chunk);
  o.by_layer = false;
  const BoundedPrefillReport r = prefill_bounded(model, cache, test::random_tokens(n, 1), o);
  EXPECT_DOUBLE_EQ(r.nominal_peak, budget + chunk);
  EXPECT_DOUBLE_EQ(r.measured_peak, r.nominal_peak);
  EXPECT_DOUBLE_EQ(cache.mean_slots(), budget);
  EXPECT_EQ(cache.logical_length(), n);
  EXPECT_EQ(r.compactions, n / chunk - 1);
  const double nominal_bytes = r.nominal_peak * 2 * 2 * cache.shape().slot_bytes();
  EXPECT_LT(r.bytes_peak, 1.1 * nominal_bytes);
  EXPECT_GT(r.bytes_peak, 0.9 * nominal_bytes);
  EXPECT_LT(r.bytes_peak, cache.full_bytes() / 10);
  // The copies that a compaction makes before the old entries go are a budget's worth.
  EXPECT_LT(cache.meter().report().kv_bytes_peak,
            1.1 * (r.nominal_peak + budget) * 2 * 2 * cache.shape().slot_bytes());
}

TEST(BoundedPrefillTest, TheMeterComesToTheClosedForm) {
  const Model& model = long_model();
  const NominalRun run{1010, 0, 128};
  KvCache cache = model.new_cache();
  prefill_bounded(model, cache, test::random_tokens(1010, 2), with_budget("knorm", 100, 128));
  FootprintReport r = cache.meter().report();
  const NominalHead head = nominal_budget(run, 100);
  EXPECT_DOUBLE_EQ(r.footprint, static_cast<double>(head.live_sum) / triangle(1010));
  EXPECT_DOUBLE_EQ(r.peak, 228.0 / 1010);

  KvCache evicted = model.new_cache();
  BoundedPrefillOptions o;
  o.compact.method = "keydiff";
  o.compact.ratio = 0.5;
  o.rule = ChunkRule::chunk;
  o.chunk = 128;
  const BoundedPrefillReport report =
      prefill_bounded(model, evicted, test::random_tokens(1010, 2), o);
  r = evicted.meter().report();
  // Even chunks and an even rest: rounding does not matter.
  EXPECT_DOUBLE_EQ(r.footprint,
                   static_cast<double>(nominal_top_k(run, 0.5, 0).live_sum) / triangle(1010));
  EXPECT_DOUBLE_EQ(report.measured_peak, report.nominal_peak);
  EXPECT_EQ(evicted.segments().size(), 8u);
  EXPECT_DOUBLE_EQ(evicted.mean_slots(), 505.0);
}

TEST(BoundedPrefillTest, KeepingEverythingIsPlainPrefill) {
  const Model& model = long_model();
  const auto tokens = test::random_tokens(500, 3);
  for (const ChunkRule rule : {ChunkRule::everything, ChunkRule::chunk}) {
    KvCache plain = model.new_cache(), cache = model.new_cache();
    PrefillOptions p;
    p.chunk = 100;
    prefill(model, plain, tokens, p);
    BoundedPrefillOptions o;
    o.compact.method = "keydiff";
    o.compact.ratio = 1.0;
    o.rule = rule;
    o.chunk = 100;
    const BoundedPrefillReport r = prefill_bounded(model, cache, tokens, o);
    EXPECT_EQ(r.compactions, 0);
    EXPECT_DOUBLE_EQ(r.compaction.achieved_ratio, 1.0);
    EXPECT_TRUE(at::equal(model.forward(plain, std::vector<int32_t>{3}).logits,
                          model.forward(cache, std::vector<int32_t>{3}).logits));
  }
}

TEST(BoundedPrefillTest, EveryMethodKeepsTheBudgetAndThePrefix) {
  const Model& model = long_model();
  for (const Preset& preset : preset_registry()) {
    if (preset.name.starts_with("am-omp")) continue;  // one key a step: minutes
    KvCache cache = model.new_cache();
    BoundedPrefillOptions o = with_budget(preset.name, 60, 100);
    o.begin = 12;
    o.compact.repeat = repeat();
    const BoundedPrefillReport r = prefill_bounded(model, cache, test::random_tokens(412, 4), o);
    EXPECT_DOUBLE_EQ(cache.mean_slots(), 72.0) << preset.name;
    EXPECT_EQ(r.compaction.entries_after, 60 * 4) << preset.name;
    EXPECT_DOUBLE_EQ(r.measured_peak, 12 + 60 + 100) << preset.name;
    EXPECT_EQ(cache.segments().front().state, SpanState::verbatim);
    EXPECT_EQ(cache.segments().front().end, 12);
  }
}

TEST(BoundedPrefillTest, BudgetsOfChunksAddUp) {
  const Model& model = long_model();
  KvCache cache = model.new_cache();
  BoundedPrefillOptions o = with_budget("keydiff", 101, 130);
  o.rule = ChunkRule::chunk;
  const BoundedPrefillReport r = prefill_bounded(model, cache, test::random_tokens(999, 5), o);
  EXPECT_DOUBLE_EQ(cache.mean_slots(), 101.0);
  EXPECT_DOUBLE_EQ(r.measured_peak, r.nominal_peak);
}

TEST(BoundedPrefillTest, ReportsTheFitsThatStandAtTheEnd) {
  const Model& model = long_model();
  for (const auto& [rule, times] : {std::pair{ChunkRule::chunk, 3}, {ChunkRule::everything, 1}}) {
    KvCache cache = model.new_cache();
    BoundedPrefillOptions o = with_budget("kvzip-fit", 60, 100);
    o.compact.repeat = repeat();
    o.rule = rule;
    const CompactReport r =
        prefill_bounded(model, cache, test::random_tokens(300, 4), o).compaction;
    EXPECT_EQ(r.heads.size(), 4U * times);
    EXPECT_EQ(r.statistics.at("fitted_heads"), 4.0 * times);
    double output = 0;
    int64_t slots = 0;
    bool held_out = true;
    for (const HeadErrors& e : r.heads) {
      held_out &= e.held_out;
      output += e.output;
      slots += e.slots;
    }
    EXPECT_EQ(slots, r.entries_after);
    EXPECT_DOUBLE_EQ(r.statistics.at(held_out ? "held_out_output_error" : "in_sample_output_error"),
                     output / (4.0 * times));
  }
}

TEST(BoundedPrefillTest, PatchesChooseAndAreLabelledQueryAware) {
  const Model& model = long_model();
  const auto tokens = test::random_tokens(600, 6);
  const auto read = [&](std::vector<int32_t> patch) {
    KvCache cache = model.new_cache();
    BoundedPrefillOptions o = with_budget("kvzip-uniform", 50, 150);
    o.compact.repeat = repeat();
    o.patch = std::move(patch);
    o.rule = ChunkRule::chunk;
    prefill_bounded(model, cache, tokens, o);
    return cache;
  };
  const KvCache agnostic = read({}), first = read(test::random_tokens(9, 7)),
                second = read(test::random_tokens(9, 8));
  EXPECT_FALSE(agnostic.segments()[0].query_aware);
  EXPECT_TRUE(first.segments()[0].query_aware);
  // The patch leaves nothing behind but its choice: no entry, no position.
  EXPECT_EQ(first.logical_length(), 600);
  EXPECT_DOUBLE_EQ(first.mean_slots(), 50.0);
  EXPECT_FALSE(
      at::equal(first.layer(1).segments[0]->positions, second.layer(1).segments[0]->positions));
  // It was read, though: auxiliary rows raise the total footprint.
  EXPECT_GT(first.meter().report().footprint_total, first.meter().report().footprint);
  KvCache cache = model.new_cache();
  BoundedPrefillOptions o = with_budget("keydiff", 50, 150);
  o.patch = {1, 2};
  EXPECT_THROW(prefill_bounded(model, cache, tokens, o), InvalidArgument);
  EXPECT_EQ(cache.logical_length(), 0);
}

TEST(BoundedPrefillTest, StreamingHeadsAndEvictionCompose) {
  const Model& model = long_model();
  HeadPattern pattern;
  pattern.layers = pattern.kv_heads = 2;
  pattern.streaming = {1, 0, 1, 1};
  pattern.sinks = 4;
  pattern.window = 16;
  for (const std::string method : {"keydiff", "kvzip-fit"}) {
    KvCache cache = model.new_cache();
    cache.set_head_pattern(pattern);
    BoundedPrefillOptions o = with_budget(method, 40, 100);
    o.compact.repeat = repeat();
    prefill_bounded(model, cache, test::random_tokens(500, 9), o);
    for (const auto& [l, h] : {std::pair{0, 0}, {1, 0}, {1, 1}}) EXPECT_EQ(cache.slots(l, h), 20);
    EXPECT_LE(cache.slots(0, 1), 40) << method;
    EXPECT_GT(cache.slots(0, 1), 0) << method;
    EXPECT_TRUE(
        model.forward(cache, std::vector<int32_t>{1, 2}).logits.isfinite().all().item<bool>());
  }
}

TEST(BoundedPrefillTest, AnErrorLeavesTheCacheAsItWas) {
  const Model& model = long_model();
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(20, 10));
  const KvCache before = cache.clone();
  BoundedPrefillOptions o = with_budget("keydiff", 30, 50);
  o.progress = [](const ProgressStep& s) {
    if (s.done >= 150) throw Cancelled("[test] enough");
  };
  EXPECT_THROW(prefill_bounded(model, cache, test::random_tokens(400, 11), o), Cancelled);
  EXPECT_TRUE(cache_equal(before, cache));
  EXPECT_EQ(cache.meter().rows(), 20);
  o = with_budget("keydiff", 0, 50);
  EXPECT_THROW(prefill_bounded(model, cache, test::random_tokens(40, 11), o), InvalidArgument);
  o = with_budget("keydiff", 30, -1);
  EXPECT_THROW(prefill_bounded(model, cache, test::random_tokens(40, 11), o), InvalidArgument);
  o.chunk = 0;
  o.compact.ratio = 0.5;
  EXPECT_THROW(prefill_bounded(model, cache, test::random_tokens(40, 11), o), InvalidArgument);
  o = with_budget("keydiff", 30, 50);
  o.compact.only_new = true;  // what is there competes under this rule
  EXPECT_THROW(prefill_bounded(model, cache, test::random_tokens(40, 11), o), InvalidArgument);
  EXPECT_TRUE(cache_equal(before, cache));
}

}  // namespace
}  // namespace limbeck
