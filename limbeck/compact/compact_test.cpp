#include "limbeck/compact/compact.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/container.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/model/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace limbeck {
namespace {

constexpr int64_t kText = 100;

/// A model with full and ring layers that has read kText tokens.
struct Read : test::Read {
  explicit Read(std::vector<int64_t> windows = {0, 6, 0}, DType dtype = DType::f32)
      : test::Read(std::move(windows), dtype, kText) {}
};

CompactOptions options_for(const std::string& method, double ratio) {
  return test::compact_options(method, ratio, 40);
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

at::Tensor next_logits(const Model& model, const KvCache& cache,
                       std::vector<int32_t> tokens = {3, 5}) {
  KvCache copy = cache.clone();
  return model.forward(copy, tokens).logits;
}

TEST(CompactTest, RatioOneIsBitIdenticalForEveryMethod) {
  for (const Preset& p : preset_registry()) {
    Read r;
    const KvCache before = r.cache.clone();
    const CompactReport report = compact(r.model, r.cache, options_for(p.name, 1.0));
    EXPECT_TRUE(cache_equal(before, r.cache)) << p.name;
    EXPECT_EQ(report.entries_after, report.entries_before);
    EXPECT_TRUE(at::equal(next_logits(r.model, before), next_logits(r.model, r.cache)));
  }
}

TEST(CompactTest, EveryMethodKeepsItsBudgetAndTheLogicalLength) {
  for (const Preset& p : preset_registry()) {
    Read r;
    const CompactReport report = compact(r.model, r.cache, options_for(p.name, 0.2));
    EXPECT_EQ(report.entries_after, 2 * 2 * 20) << p.name;  // two full layers of two heads
    EXPECT_EQ(r.cache.logical_length(), kText);
    EXPECT_EQ(r.cache.tokens().size(), static_cast<size_t>(kText));
    EXPECT_EQ(r.cache.segments().size(), 1u);
    EXPECT_EQ(r.cache.segments()[0].state, SpanState::compacted);
    EXPECT_LT(r.cache.bytes().total(), report.bytes_before / 2);
    EXPECT_TRUE(next_logits(r.model, r.cache).isfinite().all().item<bool>());
  }
}

TEST(CompactTest, KeptEntriesAreBitExactCopies) {
  Read r;
  const KvCache before = r.cache.clone();
  compact(r.model, r.cache, options_for("kvzip", 0.3));
  for (int64_t l : {0, 2}) {
    const LayerSegment &kept = *r.cache.layer(l).segments[0],
                       all = cache_gather(before, l, {0, kText});
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = kept.offsets[h]; i < kept.offsets[h + 1]; ++i) {
        const int64_t source = all.offsets[h] + kept.positions[i].item<int32_t>();
        EXPECT_TRUE(at::equal(kept.keys[i], all.keys[source]));
        EXPECT_TRUE(at::equal(kept.values[i], all.values[source]));
      }
    EXPECT_FALSE(kept.bias.defined());
  }
}

TEST(CompactTest, CompactedStorageActsAsThePlainFormSays) {
  Read r({0, 0});
  compact(r.model, r.cache, options_for("kvzip", 0.3));
  Random random(2);
  const at::Tensor q = test::random_tensor({6, 3, 16}, random),
                   k = test::random_tensor({2, 3, 16}, random);
  const AttentionInput in{&r.cache.layer(1), q, k, k, 0.25};
  at::Tensor out = at::empty({3, 96}, at::kFloat);
  attention_wide(in, out);
  EXPECT_LT((out - attention_plain(in)).abs().max().item<float>(), 1e-5F);
}

TEST(CompactTest, RingLayersAreLeftAlone) {
  Read r;
  const KvCache before = r.cache.clone();
  compact(r.model, r.cache, options_for("knorm", 0.2));
  const auto [ka, va] = ring_linear(before.layer(1).tail);
  const auto [kb, vb] = ring_linear(r.cache.layer(1).tail);
  EXPECT_TRUE(at::equal(ka, kb) && at::equal(va, vb));
}

TEST(CompactTest, OnlyTheSpanIsCompacted) {
  Read r;
  const KvCache before = r.cache.clone();
  CompactOptions o = options_for("kvzip", 0.25);
  o.span = PositionRange{10, 90};
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_EQ(report.entries_before, 4 * 80);
  EXPECT_EQ(report.entries_after, 4 * 20);
  ASSERT_EQ(r.cache.segments().size(), 3u);
  EXPECT_EQ(r.cache.segments()[0].state, SpanState::verbatim);
  EXPECT_EQ(r.cache.segments()[2].end, kText);
  const LayerSegment head = cache_gather(r.cache, 0, {0, 10}),
                     same = cache_gather(before, 0, {0, 10});
  EXPECT_TRUE(at::equal(head.keys, same.keys) && at::equal(head.values, same.values));
}

TEST(CompactTest, ProtectedRangesStayAndAreCharged) {
  Read r;
  CompactOptions o = options_for("random", 0.2);
  o.protect = {{40, 50}};
  compact(r.model, r.cache, o);
  for (int64_t h = 0; h < 2; ++h) {
    EXPECT_EQ(r.cache.slots(0, h), 20);
    const LayerSegment part = cache_gather(r.cache, 0, {40, 50});
    EXPECT_EQ(part.slots(h), 10);
  }
  o.protect = {{0, 50}};
  Read again;
  EXPECT_EQ(error_of([&] { compact(again.model, again.cache, o); }),
            "[compact] layer 0 head 0 has 50 protected slots and a budget of 20; raise the ratio "
            "or allow "
            "protect_overflow");
  o.protect_overflow = true;
  EXPECT_EQ(compact(again.model, again.cache, o).entries_after, 4 * 50);
}

TEST(CompactTest, PiecesShareTheBudgetExactlyAlsoWithMorePiecesThanSlots) {
  Read r;
  CompactOptions o = options_for("random", 0.2);
  o.chunk = 25;
  EXPECT_EQ(compact(r.model, r.cache, o).entries_after, 4 * 20);
  for (PositionRange piece : {PositionRange{0, 25}, PositionRange{75, 100}})
    EXPECT_EQ(cache_gather(r.cache, 0, piece).slots(0), 5);
  Read tiny;
  o.chunk = 10;
  o.ratio = 0.03;
  EXPECT_EQ(compact(tiny.model, tiny.cache, o).entries_after, 4 * 3);
}

TEST(CompactTest, PartsOfAMethodCanBeReplacedByName) {
  Read r;
  CompactOptions o = options_for("random", 0.2);
  o.normalize = "rank";
  o.allocator = "model";
  EXPECT_EQ(compact(r.model, r.cache, o).entries_after, 4 * 20);
  EXPECT_EQ(r.cache.segments()[0].method, "random x model x copy");
}

TEST(CompactTest, CompactingTwiceIsAllowedAndCounted) {
  Read r;
  compact(r.model, r.cache, options_for("keydiff", 0.5));
  const CompactReport second = compact(r.model, r.cache, options_for("kvzip", 0.5));
  EXPECT_EQ(second.entries_before, 4 * 50);
  EXPECT_EQ(second.entries_after, 4 * 25);
  EXPECT_EQ(r.cache.segments()[0].generation, 2);
}

TEST(CompactTest, SameSeedSameCacheOtherSeedOther) {
  Read a, b, c;
  CompactOptions o = options_for("random", 0.2);
  compact(a.model, a.cache, o);
  compact(b.model, b.cache, o);
  EXPECT_TRUE(cache_equal(a.cache, b.cache));
  o.seed = 1;
  compact(c.model, c.cache, o);
  EXPECT_FALSE(cache_equal(a.cache, c.cache));
}

TEST(CompactTest, SavedAndLoadedCachesGiveBitEqualLogits) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Read r({0, 6, 0}, dtype);
    compact(r.model, r.cache, options_for("kvzip", 0.3));
    r.model.forward(r.cache, test::random_tokens(5, 8));  // a tail behind the segment
    const auto path = std::filesystem::temp_directory_path() /
                      fmt::format("limbeck_compact_test_{}.kvc", getpid());
    cache_save(r.cache, {}, path);
    const LoadedCache loaded = cache_load(path);
    std::filesystem::remove(path);
    EXPECT_TRUE(cache_equal(r.cache, loaded.cache));
    EXPECT_TRUE(at::equal(next_logits(r.model, r.cache), next_logits(r.model, loaded.cache)));
    EXPECT_TRUE(
        at::equal(next_logits(r.model, r.cache, {7}), next_logits(r.model, loaded.cache, {7})));
  }
}

TEST(CompactTest, BadRequestsLeaveTheCacheAsItWas) {
  Read r;
  const KvCache before = r.cache.clone();
  const auto refuse = [&](auto&& change, const std::string& text) {
    CompactOptions o = options_for("kvzip", 0.2);
    change(o);
    EXPECT_NE(error_of([&] { compact(r.model, r.cache, o); }).find(text), std::string::npos)
        << error_of([&] { compact(r.model, r.cache, o); });
    EXPECT_TRUE(cache_equal(before, r.cache));
  };
  refuse([](auto& o) { o.ratio = 0.0; }, "ratio must be in (0, 1]; found 0");
  refuse([](auto& o) { o.ratio = 1.5; }, "ratio must be in (0, 1]; found 1.5");
  refuse([](auto& o) { o.budget = 5; }, "either a ratio or a budget; found both");
  refuse([](auto& o) { o.ratio.reset(); }, "found neither");
  refuse([](auto& o) { o.method = "magic"; }, "unknown method \"magic\"");
  refuse([](auto& o) { o.allocator = "best"; }, "unknown allocator");
  refuse([](auto& o) { o.builder = "best"; }, "unknown builder");
  refuse([](auto& o) { o.span = PositionRange{50, 50}; }, "span must lie in [0, 100)");
  refuse([](auto& o) { o.repeat = {}; }, "learns from a repeat pass");
  refuse([](auto& o) { o.scorer_options["norm"] = "x"; }, "norm must be one of local|all");
  refuse(
      [](auto& o) {
        o.method = "knorm";
        o.allocator = "model";
      },
      "comparable within one head only");
  refuse(
      [](auto& o) {
        o.progress = [](const ProgressStep& s) {
          if (s.stage == "build") throw Cancelled("[test] stop");
        };
      },
      "[test] stop");
  refuse(
      [](auto& o) {
        o.progress = [](const ProgressStep& s) {
          if (s.stage == "reference queries") throw Cancelled("[test] stop");
        };
      },
      "[test] stop");
  KvCache empty = r.model.new_cache();
  EXPECT_EQ(error_of([&] { compact(r.model, empty, options_for("knorm", 0.5)); }),
            "[compact] the cache is empty; nothing to compact");
}

TEST(CompactTest, ARepeatPassThatDoesNotFitTheWindowIsRefused) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 2);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(250, 4));
  EXPECT_NE(error_of([&] {
              compact(model, cache, options_for("kvzip", 0.5));
            }).find("the model's window of 256"),
            std::string::npos);
  EXPECT_EQ(cache.logical_length(), 250);
}

TEST(CompactTest, BytesFallToWhatTheEntriesNeed) {
  const Model model = random_model(test::small_spec({0, 0}), DType::bf16, 2);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(240, 4));
  compact(model, cache, options_for("keydiff", 0.1));
  const int64_t entry = 2 * 16 * 2 + 4;  // key, value and position
  const int64_t needed = 2 * 2 * 24 * entry;
  EXPECT_LE(cache.bytes().total(),
            needed + needed / 20 + 2 * 3 * 8);  // offsets of two layers beside the 5 %
  model.forward(cache, test::random_tokens(1, 3));
  const int64_t block = 2 * kTailBlock * (2 * 16 * 2) * 2;  // one tail block a layer
  EXPECT_LE(cache.bytes().total(), needed + needed / 20 + 2 * 3 * 8 + block);
}

}  // namespace
}  // namespace limbeck
