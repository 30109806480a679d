#include "limbeck/compact/rolling.h"

#include "limbeck/base/error.h"
#include "limbeck/model/generate.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

constexpr int64_t kWindow = 256;  // of small_spec()

RollingOptions options_of(int64_t budget, Overflow overflow) {
  RollingOptions o;
  o.budget = budget;
  o.overflow = overflow;
  o.first = 4;
  o.recent = 6;
  o.compact.method = "keydiff";
  return o;
}

/// With a method that reads the text again, for which there is no room near the window.
RollingOptions learning(Overflow overflow) {
  RollingOptions o = options_of(40, overflow);
  o.compact.method = "kvzip";
  o.compact.repeat.first = test::random_tokens(5, 1);
  o.compact.repeat.before_quote = test::random_tokens(4, 2);
  o.compact.repeat.after_quote = test::random_tokens(3, 3);
  return o;
}

/// Feeds tokens one by one while there is room; the number that was fed.
int64_t feed(const Model& model, KvCache& cache, RollingBudget& budget, int64_t tokens) {
  for (int64_t i = 0; i < tokens; ++i) {
    if (!budget.make_room(cache, 1)) return i;
    const auto id = static_cast<int32_t>((i * 31 + 7) % 97);
    model.forward(cache, {&id, 1});
    EXPECT_TRUE(budget.high_mark() == 0 || cache.mean_slots() <= budget.high_mark());
    EXPECT_LE(cache.logical_length(), kWindow);
  }
  return tokens;
}

int64_t count(const RollingBudget& budget, RollingEvent::Kind kind) {
  return std::count_if(budget.events().begin(), budget.events().end(),
                       [&](const RollingEvent& e) { return e.kind == kind; });
}

TEST(RollingBudgetTest, HoldsTheBudgetOverTenTimesItsSize) {
  for (const std::vector<int64_t>& windows : {std::vector<int64_t>{0, 0}, {0, 6, 0}}) {
    const Model model = random_model(test::small_spec(windows), DType::f32, 1);
    KvCache cache = model.new_cache();
    RollingBudget budget(model, options_of(24, Overflow::compact));
    EXPECT_EQ(budget.high_mark(), 30);
    EXPECT_EQ(feed(model, cache, budget, 250), 250);
    // Hysteresis: one compaction in seven tokens, to the budget each time.
    EXPECT_EQ(count(budget, RollingEvent::Kind::compact), (250 - 30 + 5) / 6);
    for (const RollingEvent& e : budget.events()) EXPECT_DOUBLE_EQ(e.to, 24.0);
    EXPECT_EQ(cache.logical_length(), 250);
    EXPECT_EQ(budget.dropped(), 0);
    EXPECT_LT(cache.bytes().total(), cache.full_bytes() / 2);
  }
}

TEST(RollingBudgetTest, CompactThenShiftGoesOnPastTheWindow) {
  const Model model = random_model(test::small_spec({0, 6, 0}), DType::f32, 2);
  KvCache cache = model.new_cache();
  RollingBudget budget(model, options_of(40, Overflow::compact_shift));
  const int64_t tokens = 3 * kWindow;
  EXPECT_EQ(feed(model, cache, budget, tokens), tokens);
  EXPECT_GT(count(budget, RollingEvent::Kind::shift), 1);
  EXPECT_GT(count(budget, RollingEvent::Kind::compact), 10);
  EXPECT_EQ(cache.logical_length() + budget.dropped(), tokens);
  EXPECT_EQ(static_cast<int64_t>(cache.tokens().size()), cache.logical_length());
  // The first tokens are still there.
  const LayerSegment first = cache_gather(cache, 0, {0, 4});
  EXPECT_EQ(first.slots(0), 4);
  EXPECT_EQ(cache.meter().rows(), tokens);
  // Of the full layers; the sliding window of the second is the model's own.
  EXPECT_LT(cache.meter().report().heads[0], 0.15);
  EXPECT_DOUBLE_EQ(cache.meter().report().heads[2], 1.0);
}

TEST(RollingBudgetTest, TheWindowEndsPoliciesThatDoNotShift) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
  for (const Overflow overflow : {Overflow::error, Overflow::compact}) {
    KvCache cache = model.new_cache();
    RollingBudget budget(model, options_of(0, overflow));
    EXPECT_EQ(feed(model, cache, budget, 400), kWindow);
    EXPECT_TRUE(budget.events().empty());
  }
  KvCache cache = model.new_cache();
  RollingBudget budget(model, options_of(40, Overflow::error));
  EXPECT_EQ(feed(model, cache, budget, 400), 50);
  EXPECT_EQ(cache.logical_length(), 50);
}

TEST(RollingBudgetTest, ShiftDropsTheOldestDownToTheBudget) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 4);
  KvCache cache = model.new_cache();
  RollingBudget budget(model, options_of(40, Overflow::shift));
  EXPECT_EQ(feed(model, cache, budget, 700), 700);
  EXPECT_EQ(count(budget, RollingEvent::Kind::compact), 0);
  EXPECT_EQ(cache.logical_length() + budget.dropped(), 700);
  EXPECT_DOUBLE_EQ(cache.kept_ratio(), 1.0);
  for (const RollingEvent& e : budget.events()) EXPECT_LE(e.to, 40.0);
}

TEST(RollingBudgetTest, ALearningMethodGivesWayNearTheWindow) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 5);
  KvCache cache = model.new_cache();
  RollingBudget budget(model, learning(Overflow::compact_shift));
  EXPECT_EQ(feed(model, cache, budget, 400), 400);
  const auto used = [&](std::string_view method) {
    return std::count_if(budget.events().begin(), budget.events().end(),
                         [&](const RollingEvent& e) { return e.method == method; });
  };
  EXPECT_GT(used("kvzip"), 0);
  EXPECT_GT(used("keydiff"), 0);
}

TEST(RollingBudgetTest, ProtectedRangesOutliveTheMethodThatGaveWay) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 5);
  KvCache cache = model.new_cache();
  RollingBudget budget(model, learning(Overflow::compact));
  ASSERT_EQ(feed(model, cache, budget, 30), 30);
  const LayerSegment before = cache_gather(cache, 1, {10, 15});
  cache.set_protected_ranges({{10, 15}});
  EXPECT_EQ(feed(model, cache, budget, 220), 220);
  EXPECT_EQ(budget.events().back().method, "keydiff");
  const LayerSegment after = cache_gather(cache, 1, {10, 15});
  EXPECT_TRUE(at::equal(after.keys, before.keys));
  EXPECT_TRUE(at::equal(after.values, before.values));
}

TEST(RollingBudgetTest, WhatCannotBeFreedEndsTheGenerationInsteadOfLooping) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 6);
  for (const Overflow overflow : {Overflow::compact, Overflow::shift, Overflow::compact_shift}) {
    KvCache cache = model.new_cache();
    prefill(model, cache, test::random_tokens(45, 1));
    cache.set_protected_ranges({{0, 45}});
    RollingBudget budget(model, options_of(24, overflow));
    EXPECT_FALSE(budget.make_room(cache, 1));
    EXPECT_LE(budget.events().size(), 1u);
    EXPECT_EQ(cache.logical_length(), 45);
    EXPECT_DOUBLE_EQ(cache.mean_slots(), 45.0);
  }
}

TEST(RollingBudgetTest, ChunksFitBetweenBudgetAndHighMark) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 7);
  RollingBudget budget(model, options_of(40, Overflow::compact_shift));
  EXPECT_EQ(budget.chunk(512), 10);
  KvCache cache = model.new_cache();
  for (int64_t fed = 0; fed < 1000; fed += 10) {
    ASSERT_TRUE(budget.make_room(cache, 10));
    model.forward(cache, test::random_tokens(10, fed));
    EXPECT_LE(cache.mean_slots(), 50.0);
  }
}

TEST(RollingBudgetTest, ByteBudgetsAreKept) {
  const Model model = random_model(test::small_spec({0, 6, 0}), DType::bf16, 8);
  const int64_t bytes = 24000;
  RollingOptions o = options_of(0, Overflow::compact_shift);
  o.budget = slots_of_bytes(model.spec().cache_shape(DType::bf16), bytes, o.margin);
  EXPECT_GT(o.budget, 30);
  RollingBudget budget(model, o);
  KvCache cache = model.new_cache();
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(budget.make_room(cache, 1));
    model.forward(cache, std::vector<int32_t>{i % 97});
    // A tail grows by whole blocks.
    EXPECT_LE(cache.bytes().total() - cache.bytes().slack, bytes);
  }
  EXPECT_THROW(slots_of_bytes(cache.shape(), 100, 0.25), InvalidArgument);
}

TEST(RollingBudgetTest, GenerationGoesOnPastBudgetAndWindow) {
  const Tokenizer& tokenizer = []() -> const Tokenizer& {
    static const Tokenizer t = test::load(test::byte_level_json({{"h", "e"}}));
    return t;
  }();
  ModelSpec spec = test::small_spec({0, 0});
  spec.vocabulary = tokenizer.vocabulary_size();
  const LanguageModel lm{"tiny", "tiny.gguf", random_model(spec, DType::f32, 9), tokenizer, {}, {}};
  RollingBudget budget(lm.model, options_of(40, Overflow::compact_shift));
  KvCache cache = lm.model.new_cache();
  GenerateOptions o;
  o.max_tokens = 600;
  o.ignore_eos = true;
  o.prefill_chunk = budget.chunk(512);
  o.make_room = [&](KvCache& c, int64_t rows) { return budget.make_room(c, rows); };
  std::vector<int32_t> prompt(300, 11);
  const GenerateResult r = generate(lm, cache, prompt, o);
  EXPECT_EQ(r.tokens.size(), 600u);
  EXPECT_EQ(r.fed, 599);
  EXPECT_EQ(r.finish_reason, "length");
  EXPECT_LE(cache.mean_slots(), 50.0);
  EXPECT_EQ(cache.logical_length() + budget.dropped(), 300 + 599);
  // Without a policy that goes on, the answer ends where the budget does.
  RollingBudget strict(lm.model, options_of(40, Overflow::error));
  KvCache fresh = lm.model.new_cache();
  o.make_room = [&](KvCache& c, int64_t rows) { return strict.make_room(c, rows); };
  prompt.resize(20);
  const GenerateResult ended = generate(lm, fresh, prompt, o);
  EXPECT_EQ(fresh.logical_length(), 50);
  EXPECT_EQ(ended.tokens.size(), 31u);
  EXPECT_EQ(ended.finish_reason, "length");
  prompt.resize(80, 3);
  KvCache small = lm.model.new_cache();
  EXPECT_THROW(generate(lm, small, prompt, o), InvalidArgument);
  EXPECT_EQ(small.logical_length(), 0);
}

TEST(RollingBudgetTest, ABudgetBeyondTheWindowNeverActs) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 4);
  KvCache cache = model.new_cache();
  RollingBudget budget(model, options_of(INT64_MAX, Overflow::compact));
  EXPECT_EQ(feed(model, cache, budget, 400), kWindow);
  EXPECT_TRUE(budget.events().empty());
}

TEST(RollingBudgetTest, RefusesBudgetsWithoutRoom) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 10);
  EXPECT_THROW(RollingBudget(model, options_of(15, Overflow::compact)), InvalidArgument);
  RollingOptions o = options_of(40, Overflow::compact);
  o.margin = 0.05;
  EXPECT_THROW(RollingBudget(model, o), InvalidArgument);
  o = options_of(40, Overflow::compact);
  o.compact.method = "nothing";
  EXPECT_THROW(RollingBudget(model, o), InvalidArgument);
  o = options_of(40, Overflow::compact);
  o.compact.protect = {{8, 12}};
  EXPECT_THROW(RollingBudget(model, o), InvalidArgument);
  o = options_of(0, Overflow::shift);
  o.recent = 300;
  EXPECT_THROW(RollingBudget(model, o), InvalidArgument);
  EXPECT_THROW(overflow_from_name("loop"), InvalidArgument);
  for (const std::string_view name : {"error", "compact", "shift", "compact-shift"})
    EXPECT_EQ(overflow_name(overflow_from_name(name)), name);
}

}  // namespace
}  // namespace limbeck
