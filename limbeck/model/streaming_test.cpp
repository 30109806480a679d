#include "limbeck/base/error.h"
#include "limbeck/footprint/nominal.h"
#include "limbeck/model/attach.h"
#include "limbeck/model/masked_testing.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

HeadPattern pattern_of(std::vector<uint8_t> streaming, int64_t sinks = 3, int64_t window = 8,
                       ChunkMask mask = ChunkMask::full, int64_t kv_heads = 2) {
  HeadPattern p;
  p.kv_heads = kv_heads;
  p.layers = static_cast<int64_t>(streaming.size()) / kv_heads;
  p.streaming = std::move(streaming);
  p.sinks = sinks;
  p.window = window;
  p.mask = mask;
  return p;
}

/// Streams in the first and third layer; the second is a ring, its flag means nothing.
HeadPattern mixed(ChunkMask mask = ChunkMask::full) {
  return pattern_of({0, 1, 1, 0, 1, 1}, 3, 8, mask);
}

KvCache cache_with(const Model& model, const HeadPattern& pattern) {
  KvCache cache = model.new_cache();
  cache.set_head_pattern(pattern);
  return cache;
}

/// Logits of every row, fed in calls of the given sizes (the last one repeats).
at::Tensor fed(const Model& model, KvCache& cache, const std::vector<int32_t>& tokens,
               std::vector<int64_t> calls) {
  std::vector<at::Tensor> out;
  ForwardOptions all;
  all.logits = LogitsWanted::all;
  size_t call = 0;
  for (size_t at = 0; at < tokens.size();) {
    const auto n = std::min(tokens.size() - at, static_cast<size_t>(calls[call]));
    out.push_back(
        model.forward(cache, std::span<const int32_t>(tokens).subspan(at, n), all).logits);
    at += n;
    call = std::min(call + 1, calls.size() - 1);
  }
  return at::cat(out);
}

std::vector<int64_t> starts_of(size_t rows, std::vector<int64_t> calls) {
  std::vector<int64_t> out;
  int64_t start = 0;
  for (size_t call = 0; out.size() < rows; call = std::min(call + 1, calls.size() - 1)) {
    for (int64_t i = 0; i < calls[call] && out.size() < rows; ++i) out.push_back(start);
    start = static_cast<int64_t>(out.size());
  }
  return out;
}

TEST(StreamingHeadsTest, LogitsEqualADenselyMaskedReference) {
  const Model model = random_model(test::small_spec(), DType::f32, 5);
  for (const ChunkMask mask : {ChunkMask::full, ChunkMask::window})
    for (const std::vector<int64_t>& calls :
         {std::vector<int64_t>{1}, {7}, {20, 1}, {33, 5, 1}, {60}, {2, 9, 1, 1, 30, 1}}) {
      const auto tokens = test::random_tokens(60, 100 + calls.size());
      const HeadPattern pattern = mixed(mask);
      KvCache cache = cache_with(model, pattern);
      const at::Tensor expected =
          test::masked_logits(model, tokens, &pattern, starts_of(tokens.size(), calls));
      EXPECT_LT(test::max_difference(fed(model, cache, tokens, calls), expected),
                1e-5 * expected.abs().max().item<double>())
          << chunk_mask_name(mask) << ", first call " << calls[0];
    }
}

TEST(StreamingHeadsTest, EveryMixtureOfHeadsSinksAndWindows) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 6);
  Random random(1);
  for (int round = 0; round < 12; ++round) {
    std::vector<uint8_t> flags(4);
    for (uint8_t& f : flags) f = static_cast<uint8_t>(random.below(2));
    const HeadPattern pattern =
        pattern_of(flags, static_cast<int64_t>(random.below(5)), 1 + random.below(9),
                   random.below(2) == 0 ? ChunkMask::full : ChunkMask::window);
    const auto tokens = test::random_tokens(41, random());
    const std::vector<int64_t> calls = {static_cast<int64_t>(1 + random.below(25)),
                                        static_cast<int64_t>(1 + random.below(4)), 1};
    KvCache cache = cache_with(model, pattern);
    const at::Tensor expected =
        test::masked_logits(model, tokens, &pattern, starts_of(tokens.size(), calls));
    EXPECT_LT(test::max_difference(fed(model, cache, tokens, calls), expected),
              1e-5 * expected.abs().max().item<double>())
        << "round " << round;
  }
}

TEST(StreamingHeadsTest, APatternOfFullHeadsIsBitIdenticalToNone) {
  const Model model = random_model(test::small_spec(), DType::bf16, 7);
  const auto tokens = test::random_tokens(50, 2);
  KvCache plain = model.new_cache(), cache = cache_with(model, pattern_of({0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(
      at::equal(fed(model, plain, tokens, {20, 7, 1}), fed(model, cache, tokens, {20, 7, 1})));
  EXPECT_TRUE(cache_equal(plain, cache));
}

TEST(StreamingHeadsTest, HeadsThatForgetNothingEqualFullOnes) {
  const Model model = random_model(test::small_spec(), DType::f32, 8);
  const auto tokens = test::random_tokens(50, 3);
  for (const ChunkMask mask : {ChunkMask::full, ChunkMask::window}) {
    KvCache plain = model.new_cache(),
            cache = cache_with(model, pattern_of({1, 1, 1, 1, 1, 1}, 10, 40, mask));
    EXPECT_LT(test::max_difference(fed(model, plain, tokens, {20, 7, 1}),
                                   fed(model, cache, tokens, {20, 7, 1})),
              2e-5);
    EXPECT_DOUBLE_EQ(cache.meter().report().footprint, 1.0);
  }
}

TEST(StreamingHeadsTest, OneChunkUnderTheFullMaskEqualsFullHeads) {
  const Model model = random_model(test::small_spec(), DType::f32, 9);
  const auto tokens = test::random_tokens(50, 4);
  KvCache plain = model.new_cache(), cache = cache_with(model, mixed());
  EXPECT_LT(test::max_difference(fed(model, plain, tokens, {50}), fed(model, cache, tokens, {50})),
            2e-5);
}

TEST(StreamingHeadsTest, UnderTheWindowMaskChunksDoNotMatter) {
  const Model model = random_model(test::small_spec(), DType::f32, 10);
  const auto tokens = test::random_tokens(70, 5);
  KvCache first = cache_with(model, mixed(ChunkMask::window));
  const at::Tensor one = fed(model, first, tokens, {1});
  for (const int64_t chunk : {16, 64, 70}) {
    KvCache cache = cache_with(model, mixed(ChunkMask::window));
    EXPECT_LT(test::max_difference(one, fed(model, cache, tokens, {chunk})), 2e-5) << chunk;
  }
}

TEST(StreamingHeadsTest, TheMeterComesToTheClosedForms) {
  const Model model = random_model(test::small_spec(), DType::f32, 11);
  const NominalRun run{61, 9, 16};
  const HeadPattern pattern = mixed();
  KvCache cache = cache_with(model, pattern);
  const auto tokens = test::random_tokens(70, 6);
  fed(model, cache, tokens, {16, 16, 16, 13, 1});
  const FootprintReport r = cache.meter().report();
  const auto stream = static_cast<double>(nominal_streaming(run, 3, 8).live_sum);
  const auto whole = static_cast<double>(triangle(70));
  for (const int64_t head : {1, 4, 5}) EXPECT_DOUBLE_EQ(r.heads[head], stream / whole);
  for (const int64_t head : {0, 2, 3}) EXPECT_DOUBLE_EQ(r.heads[head], 1.0);  // 2, 3: the ring's
}

TEST(StreamingHeadsTest, WhatStreamingHeadsNoLongerSeeIsFreed) {
  const Model model = random_model(test::small_spec({0, 0}), DType::bf16, 12);
  const HeadPattern pattern = pattern_of({1, 0, 1, 1}, 3, 8);
  KvCache cache = cache_with(model, pattern), plain = model.new_cache();
  const auto tokens = test::random_tokens(250, 7);
  int64_t allocated = 0;
  for (size_t at = 0; at < tokens.size(); at += 10) {
    const auto call = std::span<const int32_t>(tokens).subspan(at, 10);
    model.forward(cache, call);
    model.forward(plain, call);
    for (const auto& [l, h] : {std::pair{0, 0}, {1, 0}, {1, 1}}) EXPECT_LE(cache.slots(l, h), 11);
    EXPECT_EQ(cache.slots(0, 1), static_cast<int64_t>(at) + 10);
    const auto bytes = static_cast<int64_t>(cache.layer(1).stream.keys.storage().nbytes());
    if (allocated == 0) allocated = bytes;
    EXPECT_EQ(bytes, allocated);
  }
  // One head of four keeps everything, the others 11 entries.
  EXPECT_EQ(cache.bytes().keys_values, (250 + 3 * 11) * cache.shape().slot_bytes());
  EXPECT_LT(cache.bytes().total(), plain.bytes().total() * 35 / 100);
  EXPECT_EQ(cache.meter().report().kv_bytes, cache.bytes().total());
  EXPECT_LT(cache.meter().report().kv_bytes_peak, plain.meter().report().kv_bytes_peak * 35 / 100);
}

// Seven of ten heads stream, 32,768 tokens in chunks of 4096.
TEST(StreamingHeadsSlowTest, TheHighWaterMarkOfALongTextIsBelowFortyFivePercent) {
  ModelSpec spec = test::small_spec({0, 0});
  spec.query_heads = spec.kv_heads = 5;
  spec.context_length = 32768;
  const Model model = random_model(spec, DType::bf16, 16);
  HeadPattern pattern = pattern_of({1, 1, 0, 1, 1, 1, 0, 1, 1, 0}, 128, 1024, ChunkMask::full, 5);
  ASSERT_DOUBLE_EQ(pattern.sparsity(), 0.7);
  const auto tokens = test::random_tokens(32768, 11);
  PrefillOptions o;
  o.chunk = 4096;
  o.logits = LogitsWanted::none;
  KvCache cache = cache_with(model, pattern);
  prefill(model, cache, tokens, o);
  const FootprintReport r = cache.meter().report();
  // The uncompressed cache, without slack.
  EXPECT_LT(r.kv_bytes_peak, 0.45 * static_cast<double>(cache.full_bytes()));
  const NominalRun run{32768, 0, 4096};
  const NominalFootprint nominal =
      nominal_mix(run, nominal_streaming(run, 128, 1024), nominal_full(run), 0.7);
  EXPECT_NEAR(r.footprint, nominal.footprint, 1e-12);
  EXPECT_NEAR(r.peak, nominal.peak, 1e-12);
}

TEST(StreamingHeadsTest, RollingBackAndCopyingRestoreStreams) {
  const Model model = random_model(test::small_spec(), DType::f32, 13);
  KvCache cache = cache_with(model, mixed());
  const auto tokens = test::random_tokens(40, 8), more = test::random_tokens(9, 9);
  fed(model, cache, tokens, {16});
  const KvCache before = cache.clone();
  const KvCache::Mark mark = cache.mark();
  const at::Tensor first = fed(model, cache, more, {9});
  EXPECT_FALSE(cache_equal(before, cache));
  cache.rollback(mark);
  EXPECT_TRUE(cache_equal(before, cache));
  EXPECT_EQ(cache.meter().rows(), 40);
  EXPECT_TRUE(at::equal(first, fed(model, cache, more, {9})));
  EXPECT_THROW(cache.truncate(45), InvalidArgument);
  cache.clear();
  EXPECT_NE(cache.head_pattern(), nullptr);
  EXPECT_EQ(cache.layer(0).stream.length, 0);
}

TEST(StreamingHeadsTest, TokensCanBeTakenBackWhileNothingIsForgotten) {
  const Model model = random_model(test::small_spec({0, 0, 0}), DType::f32, 13);
  KvCache cache = cache_with(model, pattern_of({0, 1, 0, 0, 1, 1}, 3, 60));
  fed(model, cache, test::random_tokens(5, 1), {5});
  const at::Tensor step = fed(model, cache, {7}, {1});
  cache.truncate(5);
  EXPECT_TRUE(at::equal(step, fed(model, cache, {7}, {1})));
}

TEST(StreamingHeadsTest, PermutedHeadsPermuteThePattern) {
  const ModelSpec spec = test::small_spec({0});
  const Model model = random_model(spec, DType::f32, 14);
  Weights swapped = model.weights();
  const int64_t dim = spec.head_dim;
  std::vector<int64_t> queries, rows;
  for (int64_t q = 0; q < 6; ++q)
    for (int64_t d = 0; d < dim; ++d) queries.push_back((q + 3) % 6 * dim + d);
  rows = queries;
  for (int64_t part = 0; part < 2; ++part)
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t d = 0; d < dim; ++d) rows.push_back((6 + 2 * part + 1 - h) * dim + d);
  LayerWeights& w = swapped.layers[0];
  w.qkv = w.qkv.index_select(0, at::tensor(rows, at::kLong));
  w.output = w.output.index_select(1, at::tensor(queries, at::kLong)).contiguous();
  const Model other(spec, std::move(swapped), DType::f32);
  KvCache a = cache_with(model, pattern_of({1, 0})), b = cache_with(other, pattern_of({0, 1}));
  const auto tokens = test::random_tokens(40, 10);
  EXPECT_LT(test::max_difference(fed(model, a, tokens, {11, 1}), fed(other, b, tokens, {11, 1})),
            2e-5);
}

TEST(StreamingHeadsTest, WhatCannotBeDoneIsRefused) {
  const Model model = random_model(test::small_spec(), DType::f32, 15);
  KvCache cache = model.new_cache();
  EXPECT_THROW(cache.set_head_pattern(pattern_of({1, 0})), Mismatch);
  EXPECT_THROW(cache.set_head_pattern(pattern_of({1, 0, 1, 0, 1, 0}, 3, 0)), InvalidArgument);
  model.forward(cache, test::random_tokens(3, 1));
  EXPECT_THROW(cache.set_head_pattern(mixed()), InvalidArgument);
  KvCache streaming = cache_with(model, mixed());
  model.forward(streaming, test::random_tokens(3, 1));
  EXPECT_THROW(cache_attach(model, cache, streaming), Mismatch);
  KvCache other = cache_with(model, pattern_of({1, 1, 1, 0, 1, 1}));
  model.forward(other, test::random_tokens(3, 1));
  EXPECT_THROW(cache_attach(model, other, streaming), Mismatch);
  EXPECT_THROW(model.forward_differentiable(streaming, test::random_tokens(3, 1)), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
