#include "limbeck/model/shift.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::vector<int32_t> without(std::vector<int32_t> tokens, PositionRange drop) {
  tokens.erase(tokens.begin() + drop.begin, tokens.begin() + drop.end);
  return tokens;
}

at::Tensor next(const Model& model, const KvCache& cache) {
  KvCache copy = cache.clone();
  return model.forward(copy, std::vector<int32_t>{5, 9, 2}).logits;
}

HeadPattern one_streaming_head() {
  HeadPattern p;
  p.layers = 1;
  p.kv_heads = 2;
  p.streaming = {1, 0};
  p.sinks = 3;
  p.window = 8;
  return p;
}

// The only layer's keys and values depend on a token and its position alone: a cache whose oldest
// tokens were dropped must equal one that never saw them.
TEST(ShiftTest, AOneLayerModelForgetsExactly) {
  for (const int64_t window : {0, 6})
    for (const PositionRange drop : {PositionRange{0, 7}, {5, 25}, {4, 50}}) {
      const Model model = random_model(test::small_spec({window}), DType::f32, 3);
      const auto tokens = test::random_tokens(60, 1);
      KvCache cache = model.new_cache(), other = model.new_cache();
      prefill(model, cache, std::span(tokens).first(40));
      cache.seal();
      prefill(model, cache, std::span(tokens).subspan(40));
      cache_shift(model, cache, drop);
      prefill(model, other, without(tokens, drop));
      EXPECT_EQ(cache.logical_length(), 60 - drop.size());
      EXPECT_EQ(cache.tokens(), other.tokens());
      EXPECT_LT(test::max_difference(next(model, cache), next(model, other)), 2e-5) << window;
    }
}

TEST(ShiftTest, StreamingHeadsMoveWithTheirRing) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 4);
  const auto tokens = test::random_tokens(60, 2);
  const PositionRange drop{5, 30};
  KvCache cache = model.new_cache(), other = model.new_cache();
  cache.set_head_pattern(one_streaming_head());
  other.set_head_pattern(one_streaming_head());
  prefill(model, cache, tokens);
  prefill(model, other, without(tokens, drop));
  EXPECT_EQ(shift_limit(cache), 52);
  EXPECT_THROW(cache_shift(model, cache, {5, 53}), InvalidArgument);
  EXPECT_THROW(cache_shift(model, cache, {2, 30}), InvalidArgument);
  cache_shift(model, cache, drop);
  EXPECT_LT(test::max_difference(next(model, cache), next(model, other)), 2e-5);
  EXPECT_EQ(cache.slots(0, 0), 11);
}

TEST(ShiftTest, RaggedSegmentsAreCutWhereTheRangeEnds) {
  const Model model = random_model(test::small_spec(), DType::bf16, 5);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(50, 3));
  test::compact_randomly(cache, 9);
  prefill(model, cache, test::random_tokens(20, 4));
  const int64_t bytes = cache.bytes().total();
  cache_shift(model, cache, {0, 55});
  EXPECT_EQ(cache.logical_length(), 15);
  EXPECT_EQ(cache.slots(0, 0), 15);
  EXPECT_EQ(cache.slots(2, 1), 15);
  EXPECT_LT(cache.bytes().total(), bytes);
  EXPECT_TRUE(next(model, cache).isfinite().all().item<bool>());
}

TEST(ShiftTest, ProtectedRangesMoveAlongAndAreNotCut) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 6);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(40, 5));
  cache.set_protected_ranges({{0, 4}, {20, 25}});
  EXPECT_THROW(cache_shift(model, cache, {3, 10}), InvalidArgument);
  EXPECT_THROW(cache_shift(model, cache, {4, 21}), InvalidArgument);
  cache_shift(model, cache, {4, 14});
  EXPECT_EQ(cache.protected_ranges(), (std::vector<PositionRange>{{0, 4}, {10, 15}}));
}

TEST(ShiftTest, TheMeterGoesOn) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 7);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(40, 6));
  cache_shift(model, cache, {4, 24});
  model.forward(cache, std::vector<int32_t>{1});
  const FootprintReport r = cache.meter().report();
  EXPECT_EQ(r.rows, 41);
  EXPECT_DOUBLE_EQ(r.footprint, (triangle(40) + 21.0) / triangle(41));
  EXPECT_DOUBLE_EQ(r.footprint_after, 21.0 / 41);
}

TEST(ShiftTest, RefusesRangesThatCannotGo) {
  const Model model = random_model(test::small_spec({0, 6}), DType::f32, 8);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(30, 7));
  const KvCache before = cache.clone();
  for (const PositionRange drop :
       {PositionRange{-1, 3}, {3, 3}, {3, 30}, {3, 26}})  // the ring holds 25 .. 29
    EXPECT_THROW(cache_shift(model, cache, drop), InvalidArgument) << drop.begin << " " << drop.end;
  const Model other = random_model(test::small_spec({0}), DType::f32, 8);
  EXPECT_THROW(cache_shift(other, cache, {3, 5}), Mismatch);
  EXPECT_TRUE(cache_equal(before, cache));
}

}  // namespace
}  // namespace limbeck
