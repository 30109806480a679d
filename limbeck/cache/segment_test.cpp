#include "limbeck/cache/segment.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/test_caches.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::kFull;
using test::random_segment;
using test::shape_of;

const CacheShape kShape = shape_of(3, 4, DType::f32, {kFull});

TEST(SegmentTest, GatherTakesRowsOfEveryField) {
  Random random(1);
  const auto s = random_segment(kShape, {3, 0, 2}, {0, 9}, random, {true, {"mass"}});
  const auto got = segment_gather(*s, at::tensor({2, 0, 4}, at::kLong), {0, 2, 2, 3});
  segment_check(got, kShape);
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t row = std::vector<int64_t>{2, 0, 4}[i];
    EXPECT_TRUE(at::equal(got.keys[i], s->keys[row]));
    EXPECT_TRUE(at::equal(got.values[i], s->values[row]));
    EXPECT_TRUE(at::equal(got.bias[i], s->bias[row]));
    EXPECT_TRUE(at::equal(got.positions[i], s->positions[row]));
    EXPECT_TRUE(at::equal(got.extras.at("mass")[i], s->extras.at("mass")[row]));
  }
  EXPECT_EQ(got.slots(1), 0);
}

TEST(SegmentTest, GatherRefusesOffsetsOfAnotherLength) {
  Random random(1);
  const auto s = random_segment(kShape, {3, 0, 2}, {0, 9}, random);
  EXPECT_THROW(segment_gather(*s, at::tensor({0, 1}, at::kLong), {0, 1, 1, 1}), InternalError);
}

TEST(SegmentTest, ConcatJoinsHeadByHead) {
  Random random(2);
  const auto a = random_segment(kShape, {2, 0, 1}, {0, 9}, random, {true, {"both", "one"}});
  const auto b = random_segment(kShape, {1, 3, 0}, {9, 20}, random, {false, {"both"}});
  const LayerSegment got = segment_concat({a, b});
  segment_check(got, kShape);
  EXPECT_EQ(got.offsets, (std::vector<int64_t>{0, 3, 6, 7}));
  const at::Tensor keys = at::cat({a->keys.narrow(0, 0, 2), b->keys.narrow(0, 0, 1),
                                   b->keys.narrow(0, 1, 3), a->keys.narrow(0, 2, 1)});
  EXPECT_TRUE(at::equal(got.keys, keys));
  // The part without bias counts as 0.
  EXPECT_TRUE(at::equal(got.bias.narrow(0, 2, 4), at::zeros({4})));
  EXPECT_TRUE(at::equal(got.bias.narrow(0, 0, 2), a->bias.narrow(0, 0, 2)));
  EXPECT_TRUE(got.extras.contains("both"));
  // Where a part has none of a side value it counts as 0.
  ASSERT_TRUE(got.extras.contains("one"));
  EXPECT_EQ(got.extras.at("one").size(0), got.slots());
  EXPECT_GT(got.extras.at("one").eq(0).sum().item<int64_t>(), 0);
}

TEST(SegmentTest, ConcatOfEmptyPartsIsEmpty) {
  const auto empty = std::make_shared<LayerSegment>(segment_empty(kShape));
  const LayerSegment got = segment_concat({empty, empty});
  segment_check(got, kShape);
  EXPECT_EQ(got.slots(), 0);
  EXPECT_FALSE(got.bias.defined());
}

TEST(SegmentTest, PlainMeansEveryPositionInOrder) {
  Random random(3);
  LayerSegment s = *random_segment(kShape, {2, 2, 2}, {5, 7}, random);
  s.positions = at::tensor({5, 6, 5, 6, 5, 6}, at::kInt);
  EXPECT_TRUE(segment_is_plain(s, {5, 7}));
  EXPECT_FALSE(segment_is_plain(s, {4, 6}));
  s.positions = at::tensor({5, 6, 6, 5, 5, 6}, at::kInt);
  EXPECT_FALSE(segment_is_plain(s, {5, 7}));
}

TEST(SegmentTest, CheckRefusesContradictions) {
  Random random(4);
  const LayerSegment good = *random_segment(kShape, {2, 1, 0}, {0, 5}, random, {true, {"x"}});
  segment_check(good, kShape);
  const auto refuses = [&](auto&& change) {
    LayerSegment bad = good;
    change(bad);
    EXPECT_THROW(segment_check(bad, kShape), InternalError);
  };
  refuses([](LayerSegment& s) { s.offsets = {0, 2, 3}; });
  refuses([](LayerSegment& s) { s.offsets = {0, 3, 2, 3}; });
  refuses([](LayerSegment& s) { s.offsets = {1, 2, 3, 3}; });
  refuses([](LayerSegment& s) { s.keys = s.keys.to(at::kBFloat16); });
  refuses([](LayerSegment& s) { s.values = s.values.narrow(0, 0, 2); });
  refuses([](LayerSegment& s) { s.keys = s.keys.narrow(1, 0, 3); });
  refuses([](LayerSegment& s) { s.positions = s.positions.to(at::kLong); });
  refuses([](LayerSegment& s) { s.bias = s.bias.narrow(0, 0, 1); });
  refuses([](LayerSegment& s) { s.extras["x"] = at::zeros({3}, at::kDouble); });
}

}  // namespace
}  // namespace limbeck
