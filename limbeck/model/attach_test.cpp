#include "limbeck/model/attach.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(RotationTest, MovesAKeyAsThePublishedVectorSays) {
  // (cos 3.5, sin 3.5) at position 7 with frequency .5, moved to position 3.
  const at::Tensor key = at::tensor({std::cos(3.5F), std::sin(3.5F)}, at::kFloat).view({1, 2});
  const at::Tensor moved =
      rotate_keys(key, at::tensor(std::vector<int64_t>{-4}, at::kLong), {0.5F});
  EXPECT_NEAR(moved[0][0].item<float>(), .070737F, 1e-5F);
  EXPECT_NEAR(moved[0][1].item<float>(), .997495F, 1e-5F);
}

TEST(AttachTest, FirstLayerKeysEqualAPrefillAtThatOffset) {
  // Layer 0's keys depend on the token and its position alone.
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
  const auto first = test::random_tokens(20, 1), second = test::random_tokens(15, 2);
  KvCache joined = model.new_cache(), piece = model.new_cache(), whole = model.new_cache();
  model.forward(joined, first);
  model.forward(piece, second);
  model.forward(whole, first);
  model.forward(whole, second);
  cache_attach(model, joined, piece);
  EXPECT_EQ(joined.logical_length(), 35);
  EXPECT_EQ(joined.tokens(), whole.tokens());
  const LayerSegment a = cache_gather(joined, 0, {0, 35}), b = cache_gather(whole, 0, {0, 35});
  EXPECT_LT((a.keys - b.keys).abs().max().item<float>(), 1e-4F);
  EXPECT_TRUE(at::equal(a.positions, b.positions));
}

TEST(AttachTest, ARangeLeavesThePiecesPrefixOut) {
  const Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
  KvCache joined = model.new_cache(), piece = model.new_cache();
  model.forward(joined, test::random_tokens(20, 1));
  model.forward(piece, test::random_tokens(15, 2));
  test::compact_randomly(piece, 4);
  model.forward(piece, test::random_tokens(5, 6));
  cache_attach(model, joined, piece, PositionRange{15, 20});
  EXPECT_EQ(joined.logical_length(), 25);
  EXPECT_EQ(joined.slots(0, 0), 25);
}

TEST(AttachTest, RingsServeTheNewestText) {
  const Model model = random_model(test::small_spec({6, 0}), DType::f32, 3);
  KvCache joined = model.new_cache(), piece = model.new_cache(), whole = model.new_cache();
  const auto first = test::random_tokens(20, 1), second = test::random_tokens(15, 2);
  model.forward(joined, first);
  model.forward(piece, second);
  model.forward(whole, first);
  model.forward(whole, second);
  cache_attach(model, joined, piece);
  const auto [ka, va] = ring_linear(joined.layer(0).tail);
  const auto [kb, vb] = ring_linear(whole.layer(0).tail);
  EXPECT_LT((ka - kb).abs().max().item<float>(), 1e-4F);
  EXPECT_EQ(joined.layer(0).tail.first_position, whole.layer(0).tail.first_position);
  model.forward(joined, test::random_tokens(3, 9));
}

TEST(AttachTest, BadRequestsLeaveTheCacheAsItWas) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 3);
  KvCache joined = model.new_cache(), piece = model.new_cache();
  prefill(model, joined, test::random_tokens(150, 1));
  prefill(model, piece, test::random_tokens(150, 2));
  const KvCache before = joined.clone();
  EXPECT_THROW(cache_attach(model, joined, piece), InvalidArgument);  // beyond the window
  EXPECT_THROW(cache_attach(model, joined, piece, PositionRange{3, 3}), InvalidArgument);
  KvCache other({2, 16, DType::bf16, {LayerKind{}}});
  EXPECT_THROW(cache_attach(model, joined, other), Mismatch);
  EXPECT_TRUE(cache_equal(before, joined));
}

}  // namespace
}  // namespace limbeck
