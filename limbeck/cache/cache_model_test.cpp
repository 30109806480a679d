// Random operations on a cache, beside a model made of plain lists.
#include "limbeck/base/error.h"
#include "limbeck/cache/container.h"
#include "limbeck/cache/kv_cache.h"
#include "limbeck/cache/test_caches.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::kFull;
using test::ring_of;

struct Slot {
  int64_t position = 0;
  float id = 0;  ///< every element of the key; the value holds its negative
  bool operator==(const Slot&) const = default;
};
using Slots = std::vector<Slot>;

/// One sequence as lists: [layer][head], full layers split into segments and a tail.
struct Model {
  struct Span {
    int64_t begin = 0, end = 0;
    bool verbatim = true;
    std::vector<std::vector<Slots>> slots;
  };
  std::vector<int32_t> tokens;
  std::vector<Span> segments;
  Span tail;
  std::vector<std::vector<Slots>> rings;  ///< everything since the ring began, never cut

  explicit Model(size_t layers, int64_t heads) : rings(layers, std::vector<Slots>(heads)) {
    tail.slots = rings;
  }
  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
};

class Machine {
 public:
  Machine(const CacheShape& shape, uint64_t seed)
      : shape_(shape), random_(seed), cache_(shape), model_(shape.layers.size(), shape.kv_heads) {}

  void step() {
    switch (random_.below(12)) {
      case 0: seal(); break;
      case 1: unseal(); break;
      case 2: truncate(); break;
      case 3: mark(); break;
      case 4: rollback(); break;
      case 5:
      case 6: compact(); break;
      case 7: fork(); break;
      case 8: restore(); break;
      default:
        append(1 + static_cast<int64_t>(random_.below(random_.below(4) == 0 ? 60 : 4)));
        break;
    }
    if (random_.below(200) == 0) {
      cache_.clear();
      model_ = Model(shape_.layers.size(), shape_.kv_heads);
      marked_.reset();
    }
  }

  void compare() const {
    ASSERT_EQ(cache_.logical_length(), model_.length());
    ASSERT_EQ(cache_.tokens(), model_.tokens);
    ASSERT_EQ(cache_.tail_begin(), model_.tail.begin);
    ASSERT_EQ(cache_.segments().size(), model_.segments.size());
    for (int64_t l = 0; l < shape_.layer_count(); ++l) {
      if (is_ring(l)) {
        compare_ring(l);
        continue;
      }
      for (size_t j = 0; j < model_.segments.size(); ++j)
        ASSERT_EQ(slots_of(*cache_.layer(l).segments[j]), model_.segments[j].slots[l]);
      const LayerTail& tail = cache_.layer(l).tail;
      ASSERT_EQ(tail.length, model_.length() - model_.tail.begin);
      for (int64_t h = 0; h < shape_.kv_heads; ++h)
        for (int64_t i = 0; i < tail.length; ++i)
          ASSERT_EQ((Slot{tail.first_position + i, tail.keys[h][i][0].item<float>()}),
                    model_.tail.slots[l][h][i]);
      compare_gather(l);
    }
  }

 private:
  bool is_ring(int64_t l) const { return shape_.layers[l].type == LayerKind::Type::ring; }

  std::vector<Slots> slots_of(const LayerSegment& s) const {
    std::vector<Slots> out(shape_.kv_heads);
    const auto* positions = s.positions.const_data_ptr<int32_t>();
    for (int64_t h = 0; h < shape_.kv_heads; ++h)
      for (int64_t i = s.offsets[h]; i < s.offsets[h + 1]; ++i) {
        const float id = s.keys.const_data_ptr<float>()[i * shape_.head_dim];
        EXPECT_EQ(s.values.const_data_ptr<float>()[i * shape_.head_dim + 1], -id);
        out[h].push_back({positions[i], id});
      }
    return out;
  }

  void compare_ring(int64_t l) const {
    const int64_t capacity = shape_.layers[l].window - 1;
    const LayerTail& ring = cache_.layer(l).tail;
    const int64_t held = std::min(model_.length(), capacity);
    ASSERT_EQ(ring.length, held);
    if (held == 0) return;
    const auto [keys, values] = ring_linear(ring);
    for (int64_t h = 0; h < shape_.kv_heads; ++h)
      for (int64_t i = 0; i < held; ++i)
        ASSERT_EQ((Slot{ring.first_position + i, keys[h][i][0].item<float>()}),
                  *(model_.rings[l][h].end() - held + i));
  }

  void compare_gather(int64_t l) const {
    const int64_t begin = model_.length() / 3, end = model_.length() - model_.length() / 4;
    std::vector<Slots> expected(shape_.kv_heads);
    const auto take = [&](const Model::Span& span) {
      for (int64_t h = 0; h < shape_.kv_heads; ++h)
        for (const Slot& slot : span.slots[l][h])
          if (slot.position >= begin && slot.position < end) expected[h].push_back(slot);
    };
    for (const Model::Span& span : model_.segments) take(span);
    take(model_.tail);
    ASSERT_EQ(slots_of(cache_gather(cache_, l, {begin, end})), expected);
  }

  void append(int64_t rows) {
    cache_.reserve(rows);
    std::vector<std::pair<at::Tensor, at::Tensor>> ring_rows(shape_.layers.size());
    for (int64_t l = 0; l < shape_.layer_count(); ++l) {
      at::Tensor keys = at::empty({shape_.kv_heads, rows, shape_.head_dim}, at::kFloat);
      for (int64_t h = 0; h < shape_.kv_heads; ++h)
        for (int64_t i = 0; i < rows; ++i) {
          const Slot slot{model_.length() + i, next_id_++};
          keys[h][i].fill_(slot.id);
          (is_ring(l) ? model_.rings : model_.tail.slots)[l][h].push_back(slot);
        }
      LayerTail& tail = cache_.layer_for_append(l).tail;
      if (is_ring(l)) {
        ring_rows[l] = {keys, -keys};
      } else {
        tail.keys.narrow(1, tail.length, rows).copy_(keys);
        tail.values.narrow(1, tail.length, rows).copy_(-keys);
      }
    }
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < rows; ++i) tokens.push_back(static_cast<int32_t>(random_.below(50000)));
    cache_.commit(tokens, ring_rows);
    model_.tokens.insert(model_.tokens.end(), tokens.begin(), tokens.end());
  }

  void start_tail() {
    model_.tail = Model(shape_.layers.size(), shape_.kv_heads).tail;
    model_.tail.begin = model_.length();
  }

  void seal() {
    cache_.seal();
    if (model_.tail.begin == model_.length()) return;
    model_.tail.end = model_.length();
    model_.segments.push_back(model_.tail);
    start_tail();
    marked_.reset();
  }

  void unseal() {
    if (model_.tail.begin != model_.length() || model_.segments.empty() ||
        !model_.segments.back().verbatim) {
      EXPECT_THROW(cache_.unseal(), InvalidArgument);
      return;
    }
    cache_.unseal();
    model_.tail = model_.segments.back();
    model_.segments.pop_back();
    marked_.reset();
  }

  static void cut(std::vector<std::vector<Slots>>& layers, int64_t length) {
    for (auto& heads : layers)
      for (Slots& slots : heads)
        std::erase_if(slots, [&](const Slot& slot) { return slot.position >= length; });
  }

  void truncate() {
    const int64_t length =
        model_.tail.begin +
        static_cast<int64_t>(random_.below(model_.length() - model_.tail.begin + 1));
    bool forgotten = false;
    for (const LayerKind& kind : shape_.layers)
      forgotten |= kind.type == LayerKind::Type::ring && kind.window > 1 &&
                   model_.length() > kind.window - 1;
    if (forgotten && length < model_.length()) {
      EXPECT_THROW(cache_.truncate(length), InvalidArgument);
      return;
    }
    cache_.truncate(length);
    model_.tokens.resize(length);
    cut(model_.tail.slots, length);
    cut(model_.rings, length);
    if (marked_ && marked_->length() > length) marked_.reset();
  }

  void mark() {
    mark_ = cache_.mark();
    marked_ = model_;
  }

  void rollback() {
    if (!marked_) return;
    cache_.rollback(mark_);
    model_ = *marked_;
  }

  /// Replaces a random run of segments by a random choice of their slots.
  void compact() {
    const auto count = static_cast<int64_t>(model_.segments.size());
    const int64_t first = static_cast<int64_t>(random_.below(count + 1));
    const int64_t last = first + 1 + static_cast<int64_t>(random_.below(count + 1 - first));
    Model::Span fresh;
    fresh.verbatim = false;
    fresh.begin = first < count ? model_.segments[first].begin : model_.tail.begin;
    fresh.end = last > count ? model_.length() : model_.segments[last - 1].end;
    fresh.slots = Model(shape_.layers.size(), shape_.kv_heads).tail.slots;
    KvCache::NewSegment segment;
    segment.info.begin = fresh.begin;
    segment.info.end = fresh.end;
    segment.info.state = SpanState::compacted;
    for (int64_t l = 0; l < shape_.layer_count(); ++l)
      segment.layers.push_back(is_ring(l) ? nullptr : choose(l, fresh));
    std::vector<KvCache::NewSegment> list;
    list.push_back(std::move(segment));
    cache_.replace_segments(first, last, std::move(list));
    const auto from = model_.segments.begin() + first;
    model_.segments.erase(from, model_.segments.begin() + std::min(last, count));
    model_.segments.insert(model_.segments.begin() + first, fresh);
    if (last > count) start_tail();
    marked_.reset();
  }

  LayerSegmentPtr choose(int64_t l, Model::Span& fresh) {
    const LayerSegment all = cache_gather(cache_, l, {fresh.begin, fresh.end});
    const std::vector<Slots> slots = slots_of(all);
    std::vector<int64_t> rows, offsets{0};
    for (int64_t h = 0; h < shape_.kv_heads; ++h) {
      for (size_t i = 0; i < slots[h].size(); ++i) {
        if (random_.below(2) == 0) continue;
        rows.push_back(all.offsets[h] + static_cast<int64_t>(i));
        fresh.slots[l][h].push_back(slots[h][i]);
      }
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    return std::make_shared<LayerSegment>(
        segment_gather(all, at::tensor(rows, at::kLong), std::move(offsets)));
  }

  /// What happens to a clone must not show here, and the other way round.
  void fork() {
    KvCache other = cache_.clone();
    const Model model = model_;
    append(3);
    std::swap(cache_, other);
    model_ = model;
    marked_.reset();
  }

  void restore() {
    if (model_.length() == 0 || random_.below(3) != 0) return;
    cache_save(cache_, {}, folder_.path() / "x.kvc");
    KvCache loaded = cache_load(folder_.path() / "x.kvc", nullptr, &shape_).cache;
    ASSERT_TRUE(cache_equal(loaded, cache_));
    std::swap(cache_, loaded);
  }

  CacheShape shape_;
  Random random_;
  KvCache cache_;
  Model model_;
  KvCache::Mark mark_;
  std::optional<Model> marked_;
  float next_id_ = 1;  // exact up to 2^24
  test::ScratchFolder folder_;
};

void run(const CacheShape& shape, uint64_t seed, int steps) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Machine machine(shape, seed);
  for (int i = 0; i < steps; ++i) {
    SCOPED_TRACE(fmt::format("step {}", i));
    machine.step();
    machine.compare();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(CacheModelTest, FullLayersFollowTheModel) {
  for (uint64_t seed = 1; seed <= 4; ++seed)
    run({static_cast<int64_t>(seed % 3 + 1), 2, DType::f32, {kFull, kFull}}, seed, 120);
}

TEST(CacheModelTest, RingLayersFollowTheModel) {
  for (uint64_t seed = 11; seed <= 14; ++seed)
    run({static_cast<int64_t>(seed % 2 + 1),
         2,
         DType::f32,
         {kFull, ring_of(8), ring_of(1), ring_of(90)}},
        seed, 120);
}

TEST(CacheModelTest, ACacheOfRingsAloneFollowsTheModel) {
  run({2, 2, DType::f32, {ring_of(4), ring_of(17)}}, 21, 150);
}

}  // namespace
}  // namespace limbeck
