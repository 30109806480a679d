// What a cache says it holds, beside what the allocator has handed out.
#include "limbeck/cache/kv_cache.h"
#include "limbeck/cache/test_caches.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <optional>

namespace limbeck {
namespace {

using test::append;
using test::compact;
using test::kFull;
using test::ring_of;
using test::shape_of;

/// Sums what torch's CPU allocator reports for this thread.
class AllocationCounter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    held_ += size;
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t held() const { return held_; }

 private:
  int64_t held_ = 0;
};

class CacheMemoryTest : public ::testing::Test {
 protected:
  /// Bytes handed out and not given back since the test began.
  int64_t held() const { return counter_->held(); }
  /// Bytes of the cache that come from torch: the offsets of segments do not.
  static int64_t tensor_bytes(const KvCache& cache) {
    int64_t offsets = 0;
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      for (const auto& s : cache.layer(l).segments)
        offsets += static_cast<int64_t>(s->offsets.size() * sizeof(int64_t));
    return cache.bytes().total() - offsets;
  }

  std::shared_ptr<AllocationCounter> counter_ = std::make_shared<AllocationCounter>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, counter_};
  Random random_{1};
};

TEST_F(CacheMemoryTest, TheMeterAgreesWithTheAllocator) {
  for (const int64_t heads : {1, 3}) {
    const int64_t start = held();
    KvCache cache(shape_of(heads, 16, DType::bf16, {kFull, ring_of(33), kFull}));
    append(cache, 100, random_);
    EXPECT_EQ(held() - start, tensor_bytes(cache));
    cache.seal();
    EXPECT_EQ(held() - start, tensor_bytes(cache));
    append(cache, 45, random_);
    compact(cache, 0, 1, 10, random_, {.bias = true, .names = {"mass"}});
    EXPECT_EQ(held() - start, tensor_bytes(cache));
    {
      const KvCache other = cache.clone();
      // Segments are shared: the clone costs its tails.
      int64_t tails = 0;
      for (int64_t l = 0; l < 3; ++l)
        tails += static_cast<int64_t>(2 * other.layer(l).tail.keys.nbytes());
      EXPECT_EQ(held() - start, tensor_bytes(cache) + tails);
    }
    EXPECT_EQ(held() - start, tensor_bytes(cache));
    cache.clear();
    EXPECT_EQ(held() - start, 0);
  }
}

TEST_F(CacheMemoryTest, DroppedSlotsAreFreed) {
  for (const int64_t heads : {1, 4}) {
    const int64_t start = held();
    const CacheShape shape = shape_of(heads, 32, DType::bf16, {kFull, kFull});
    KvCache cache(shape);
    append(cache, 2000, random_);
    const int64_t before = held() - start;
    compact(cache, 0, 1, 100, random_);
    append(cache, 50, random_);
    // What the entries need (key, value, i32 position in the segment), 5 %, and one block a layer.
    int64_t need = 0;
    for (int64_t l = 0; l < 2; ++l)
      for (int64_t h = 0; h < heads; ++h)
        need += cache.slots(l, h) * shape.slot_bytes() + (cache.slots(l, h) - 50) * 4;
    const int64_t block = kTailBlock * heads * shape.slot_bytes();
    EXPECT_LE(held() - start, need + need / 20 + 2 * block);
    EXPECT_LT(held() - start, before / 8);
  }
}

TEST_F(CacheMemoryTest, SealingReturnsTheRoomForGrowth) {
  for (const int64_t heads : {1, 2}) {
    const int64_t start = held();
    const CacheShape shape = shape_of(heads, 32, DType::f32, {kFull});
    KvCache cache(shape);
    cache.reserve(4000);
    append(cache, 10, random_);
    EXPECT_GT(cache.bytes().slack, 3900 * heads * shape.slot_bytes());
    cache.seal();
    EXPECT_EQ(cache.bytes().slack, 0);
    EXPECT_EQ(held() - start, 10 * heads * (shape.slot_bytes() + 4));
  }
}

TEST_F(CacheMemoryTest, AGrowingTailWastesLittle) {
  const CacheShape shape = shape_of(2, 16, DType::f32, {kFull});
  KvCache cache(shape);
  int64_t moves = 0;
  const void* at = nullptr;
  for (int64_t i = 0; i < 3000; ++i) {
    append(cache, 1, random_);
    const void* now = cache.layer(0).tail.keys.const_data_ptr();
    moves += now != at;
    at = now;
    const CacheBytes bytes = cache.bytes();
    ASSERT_LE(bytes.slack, bytes.keys_values / 20 + kTailBlock * 2 * shape.slot_bytes()) << i;
  }
  EXPECT_LT(moves, 150);
}

TEST_F(CacheMemoryTest, FullBytesAreThoseOfAnUncompactedCache) {
  KvCache cache(shape_of(2, 8, DType::bf16, {kFull, ring_of(5)}));
  append(cache, 64, random_);
  EXPECT_EQ(cache.full_bytes(), cache.bytes().keys_values);
  compact(cache, 0, 1, 4, random_);
  EXPECT_EQ(cache.full_bytes(), (64 + 4) * 2 * 2 * 8 * 2);
}

}  // namespace
}  // namespace limbeck
