#include "limbeck/cache/kv_cache.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/test_caches.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::append;
using test::compact;
using test::kFull;
using test::rich_cache;
using test::ring_of;
using test::shape_of;

KvCache mixed_cache() { return KvCache(shape_of(2, 4, DType::f32, {kFull, ring_of(5)})); }

TEST(KvCacheTest, AppendingGrowsTheTailAndKeepsItsRows) {
  Random random(1);
  KvCache cache = mixed_cache();
  append(cache, 10, random);
  const at::Tensor before = cache.layer(0).tail.keys.narrow(1, 0, 10).clone();
  append(cache, 100, random);
  EXPECT_EQ(cache.logical_length(), 110);
  EXPECT_EQ(cache.tokens().size(), 110u);
  EXPECT_EQ(cache.slots(0, 1), 110);
  EXPECT_EQ(cache.slots(1, 0), 4) << "a ring keeps window - 1";
  EXPECT_TRUE(at::equal(cache.layer(0).tail.keys.narrow(1, 0, 10), before));
  EXPECT_EQ(cache.layer(1).tail.first_position, 106);
}

TEST(KvCacheTest, CommitRefusesRowsWithoutRoom) {
  Random random(1);
  KvCache cache = mixed_cache();
  append(cache, 16, random);
  const KvCache before = cache.clone();
  const std::vector<int32_t> tokens(cache.layer(0).tail.capacity() - 15, 1);
  EXPECT_THROW(cache.commit(tokens, {}), InternalError);
  EXPECT_TRUE(cache_equal(cache, before));
}

TEST(KvCacheTest, SealAndUnsealAreInverse) {
  Random random(2);
  KvCache cache = mixed_cache();
  append(cache, 37, random);
  const KvCache before = cache.clone();
  cache.seal();
  EXPECT_EQ(cache.segments().size(), 1u);
  EXPECT_EQ(cache.tail_begin(), 37);
  EXPECT_EQ(cache.layer(0).segments[0]->positions[37].item<int>(), 0) << "head 1 starts again";
  EXPECT_FALSE(cache_equal(cache, before));
  cache.unseal();
  EXPECT_TRUE(cache_equal(cache, before));
}

TEST(KvCacheTest, SealingAnEmptyTailDoesNothing) {
  Random random(2);
  KvCache cache = mixed_cache();
  cache.seal();
  EXPECT_TRUE(cache.segments().empty());
  append(cache, 3, random);
  cache.seal();
  cache.seal();
  EXPECT_EQ(cache.segments().size(), 1u);
}

TEST(KvCacheTest, UnsealRefusesWhatIsNoTail) {
  Random random(3);
  KvCache cache = mixed_cache();
  EXPECT_THROW(cache.unseal(), InvalidArgument);
  append(cache, 8, random);
  cache.seal();
  append(cache, 1, random);
  EXPECT_THROW(cache.unseal(), InvalidArgument) << "the tail is not empty";
  cache.seal();
  compact(cache, 1, 2, 1, random);
  const KvCache before = cache.clone();
  EXPECT_THROW(cache.unseal(), InvalidArgument) << "compacted";
  EXPECT_TRUE(cache_equal(cache, before));
}

TEST(KvCacheTest, UnsealRefusesAVerbatimSegmentOutOfOrder) {
  Random random(3);
  KvCache cache(shape_of(1, 4, DType::f32, {kFull}));
  append(cache, 2, random);
  cache.seal();
  auto swapped = std::make_shared<LayerSegment>(
      segment_gather(*cache.layer(0).segments[0], at::tensor({1, 0}, at::kLong), {0, 2}));
  std::vector<KvCache::NewSegment> list;
  list.push_back({cache.segments()[0], {swapped}});
  cache.replace_segments(0, 1, std::move(list));
  EXPECT_THROW(cache.unseal(), InvalidArgument);
}

TEST(KvCacheTest, ClonesShareSegmentsAndOwnTheirTails) {
  Random random(4);
  KvCache a = mixed_cache();
  append(a, 20, random);
  a.seal();
  append(a, 6, random);
  KvCache b = a.clone();
  EXPECT_TRUE(cache_equal(a, b));
  EXPECT_EQ(a.layer(0).segments[0], b.layer(0).segments[0]);
  const KvCache untouched = a.clone();
  b.truncate(26);
  append(b, 9, random);
  b.layer_for_append(0).tail.keys.zero_();
  b.layer_for_append(1).tail.keys.zero_();
  EXPECT_TRUE(cache_equal(a, untouched));
  EXPECT_FALSE(cache_equal(a, b));
}

TEST(KvCacheTest, CopiesOfTheTailDoNotChangeWithIt) {
  // With one head the tail's rows are contiguous, so a view would do for a copy.
  Random random(4);
  KvCache cache(shape_of(1, 4, DType::f32, {kFull}));
  append(cache, 6, random);
  const LayerSegment part = cache_gather(cache, 0, {0, 6});
  const at::Tensor before = part.keys.clone();
  // Down to 1, not 0: an emptied tail gives its memory up, and nothing would be overwritten.
  cache.truncate(1);
  append(cache, 5, random);
  cache.layer_for_append(0).tail.keys.zero_();
  EXPECT_TRUE(at::equal(part.keys, before));
}

TEST(KvCacheTest, TruncateForgetsTokensOfTheTailOnly) {
  Random random(5);
  KvCache cache(shape_of(2, 4, DType::f32, {kFull}));
  append(cache, 10, random);
  cache.seal();
  append(cache, 10, random);
  cache.set_protected_ranges({{2, 4}, {8, 18}, {17, 20}});
  cache.truncate(13);
  EXPECT_EQ(cache.logical_length(), 13);
  EXPECT_EQ(cache.tokens().size(), 13u);
  EXPECT_EQ(cache.slots(0, 0), 13);
  EXPECT_EQ(cache.protected_ranges(), (std::vector<PositionRange>{{2, 4}, {8, 13}}));
  EXPECT_THROW(cache.truncate(9), InvalidArgument) << "sealed";
  EXPECT_THROW(cache.truncate(14), InvalidArgument) << "never seen";
  cache.truncate(10);
  EXPECT_FALSE(cache.layer(0).tail.keys.defined()) << "an empty tail holds no memory";
}

TEST(KvCacheTest, TruncateWorksWhileRingsRememberEverything) {
  Random random(6);
  KvCache cache = mixed_cache();
  append(cache, 3, random);
  const KvCache before = cache.clone();
  append(cache, 1, random);
  cache.truncate(3);
  EXPECT_TRUE(cache_equal(cache, before));
  append(cache, 7, random);
  const KvCache wrapped = cache.clone();
  EXPECT_THROW(cache.truncate(9), InvalidArgument);
  EXPECT_TRUE(cache_equal(cache, wrapped));
}

TEST(KvCacheTest, RollbackRestoresRingsThatHaveWrapped) {
  Random random(7);
  KvCache cache = mixed_cache();
  append(cache, 11, random);
  const KvCache before = cache.clone();
  const KvCache::Mark mark = cache.mark();
  append(cache, 1, random);
  append(cache, 9, random);
  cache.rollback(mark);
  EXPECT_TRUE(cache_equal(cache, before));
  append(cache, 2, random);
  cache.rollback(mark);
  EXPECT_TRUE(cache_equal(cache, before)) << "a mark serves twice";
  cache.seal();
  append(cache, 1, random);
  EXPECT_THROW(cache.rollback(mark), InvalidArgument) << "sealed since";
}

TEST(KvCacheTest, RollbackToAnEmptyCache) {
  Random random(7);
  KvCache cache = mixed_cache();
  const KvCache::Mark mark = cache.mark();
  append(cache, 12, random);
  cache.rollback(mark);
  EXPECT_TRUE(cache_equal(cache, mixed_cache()));
}

TEST(KvCacheTest, RingsHoldTheLastPositionsInOrder) {
  Random random(8);
  for (const int64_t first : {1, 3, 4, 5, 9, 30}) {
    KvCache cache(shape_of(1, 1, DType::f32, {ring_of(5)}));
    int64_t total = 0;
    for (const int64_t rows : {first, int64_t{1}, int64_t{2}, int64_t{11}, int64_t{4}}) {
      const at::Tensor ids = at::arange(total, total + rows, at::kFloat).view({1, rows, 1});
      cache.commit(std::vector<int32_t>(rows, 1), {{ids, -ids}});
      total += rows;
      const auto [keys, values] = ring_linear(cache.layer(0).tail);
      const int64_t held = std::min<int64_t>(total, 4);
      EXPECT_TRUE(at::equal(keys.flatten(), at::arange(total - held, total, at::kFloat))) << total;
      EXPECT_TRUE(at::equal(values, -keys));
    }
  }
}

TEST(KvCacheTest, ReplacingSegmentsKeepsTheLogicalLength) {
  Random random(9);
  KvCache cache = mixed_cache();
  append(cache, 20, random);
  cache.seal();
  append(cache, 20, random);
  const at::Tensor ring = ring_linear(cache.layer(1).tail).first.clone();
  compact(cache, 0, 2, 5, random);
  EXPECT_EQ(cache.logical_length(), 40);
  EXPECT_EQ(cache.tail_begin(), 40);
  EXPECT_EQ(cache.tokens().size(), 40u);
  EXPECT_EQ(cache.slots(0, 0), 5);
  EXPECT_EQ(cache.slots(0, 1), 4);
  EXPECT_DOUBLE_EQ(cache.kept_ratio(), 4.5 / 40);
  EXPECT_TRUE(at::equal(ring_linear(cache.layer(1).tail).first, ring)) << "rings are not compacted";
  append(cache, 3, random);
  EXPECT_EQ(cache.layer(0).tail.first_position, 40);
}

TEST(KvCacheTest, AFailedReplacementChangesNothing) {
  Random random(10);
  KvCache cache = rich_cache(DType::f32);
  const KvCache before = cache.clone();
  const auto refuses = [&](int64_t first, int64_t last, auto&& change) {
    KvCache scratch = cache.clone();
    compact(scratch, first, last, 4, random);
    KvCache::NewSegment fresh{scratch.segments()[first], {}};
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
      const auto& list = scratch.layer(l).segments;
      fresh.layers.push_back(list.empty() ? nullptr : list[first]);
    }
    change(fresh);
    std::vector<KvCache::NewSegment> list;
    list.push_back(std::move(fresh));
    EXPECT_THROW(cache.replace_segments(first, last, std::move(list)), InternalError);
    EXPECT_TRUE(cache_equal(cache, before));
  };
  using New = KvCache::NewSegment;
  refuses(0, 2, [](New& s) { s.info.end -= 1; });
  refuses(0, 2, [](New& s) { s.info.begin += 1; });
  refuses(1, 3, [](New& s) { s.layers.pop_back(); });
  refuses(1, 3, [](New& s) { s.layers[2] = nullptr; });
  refuses(2, 4, [](New& s) {
    auto bad = std::make_shared<LayerSegment>(*s.layers[2]);
    bad->offsets.back() += 1;
    s.layers[2] = bad;
  });
  EXPECT_THROW(cache.replace_segments(0, 5, {}), InternalError);
}

TEST(KvCacheTest, AppendedSegmentsContinueTheSequence) {
  Random random(11);
  KvCache source = mixed_cache();
  append(source, 12, random);
  source.seal();
  KvCache cache = mixed_cache();
  cache.append_segment(source.segments()[0], {source.layer(0).segments[0], nullptr},
                       source.tokens(), {{}, source.layer(1).tail});
  EXPECT_TRUE(cache_equal(cache, source));
  append(cache, 2, random);
  SegmentInfo info;
  info.begin = 13;
  info.end = 15;
  const auto part = test::random_segment(cache.shape(), {1, 1}, {14, 15}, random);
  const KvCache before = cache.clone();
  EXPECT_THROW(cache.append_segment(info, {part, nullptr}, std::vector<int32_t>{1, 2}, {}),
               InvalidArgument);
  info.begin = 14;
  EXPECT_THROW(cache.append_segment(info, {part, nullptr}, std::vector<int32_t>{1, 2}, {}),
               InvalidArgument);
  EXPECT_THROW(cache.append_segment(info, {part, nullptr}, std::vector<int32_t>{1},
                                    {{}, source.layer(1).tail}),
               InternalError)
      << "the ring ends at 12, the span at 15";
  EXPECT_TRUE(cache_equal(cache, before));
  cache.append_segment(info, {part, nullptr}, std::vector<int32_t>{1}, {});
  EXPECT_EQ(cache.segments().size(), 3u) << "the tail was sealed first";
  EXPECT_EQ(cache.slots(1, 0), 0);
}

TEST(KvCacheTest, ClearForgetsEverything) {
  KvCache cache = rich_cache(DType::bf16);
  cache.clear();
  EXPECT_TRUE(cache_equal(cache, KvCache(cache.shape())));
  EXPECT_EQ(cache.bytes().total(), 0);
}

TEST(KvCacheTest, EqualityIsOfBits) {
  Random random(12);
  KvCache a(shape_of(1, 2, DType::f32, {kFull}));
  append(a, 1, random);
  a.layer_for_append(0).tail.keys.fill_(std::numeric_limits<float>::quiet_NaN());
  KvCache b = a.clone();
  EXPECT_TRUE(cache_equal(a, b)) << "a NaN equals itself";
  a.layer_for_append(0).tail.keys.fill_(0.0f);
  b.layer_for_append(0).tail.keys.fill_(-0.0f);
  EXPECT_FALSE(cache_equal(a, b)) << "0 is not -0";
}

TEST(KvCacheTest, AStatisticWithoutAValueKeepsACacheEqualToItself) {
  Random random(12);
  KvCache cache = mixed_cache();
  append(cache, 4, random);
  cache.seal();
  SegmentInfo info = cache.segments()[0];
  info.achieved_ratio = std::numeric_limits<double>::quiet_NaN();
  info.statistics["residual"] = std::numeric_limits<double>::quiet_NaN();
  std::vector<KvCache::NewSegment> list;
  list.push_back({info, {cache.layer(0).segments[0], nullptr}});
  cache.replace_segments(0, 1, std::move(list));
  EXPECT_TRUE(cache_equal(cache, cache.clone()));
}

TEST(KvCacheTest, ShapesThatCannotBeAreRefused) {
  EXPECT_THROW(KvCache(shape_of(0, 4, DType::f32, {kFull})), InvalidArgument);
  EXPECT_THROW(KvCache(shape_of(1, 4, DType::f32, {})), InvalidArgument);
  EXPECT_THROW(KvCache(shape_of(1, 4, DType::f16, {kFull})), InvalidArgument);
  EXPECT_THROW(KvCache(shape_of(1, 4, DType::f32, {ring_of(0)})), InvalidArgument);
}

TEST(KvCacheTest, ProtectedRangesLieInTheSequence) {
  Random random(13);
  KvCache cache = mixed_cache();
  append(cache, 5, random);
  EXPECT_THROW(cache.set_protected_ranges({{0, 6}}), InvalidArgument);
  EXPECT_THROW(cache.set_protected_ranges({{3, 2}}), InvalidArgument);
  cache.set_protected_ranges({{0, 5}});
  EXPECT_EQ(cache.protected_ranges().size(), 1u);
}

}  // namespace
}  // namespace limbeck
