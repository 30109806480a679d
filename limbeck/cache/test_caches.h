/// Helpers of this folder's tests: caches filled as a model's forward pass fills them.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/cache/kv_cache.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

namespace limbeck::test {

inline constexpr LayerKind kFull{};
inline LayerKind ring_of(int64_t window) { return {LayerKind::Type::ring, window}; }

inline CacheShape shape_of(int64_t heads, int64_t dim, DType dtype, std::vector<LayerKind> layers) {
  return {heads, dim, dtype, std::move(layers)};
}

inline at::Tensor random_tensor(std::vector<int64_t> sizes, DType dtype, Random& random) {
  at::Tensor out = at::empty(sizes, at::kFloat);
  auto* data = out.data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) data[i] = static_cast<float>(random.uniform() * 2 - 1);
  return out.to(to_scalar_type(dtype));
}

/// Appends `rows` tokens with random keys and values; token ids count up from the position.
inline void append(KvCache& cache, int64_t rows, Random& random) {
  const CacheShape& shape = cache.shape();
  cache.reserve(rows);
  std::vector<std::pair<at::Tensor, at::Tensor>> ring_rows(shape.layers.size());
  for (int64_t l = 0; l < shape.layer_count(); ++l) {
    const at::Tensor keys =
        random_tensor({shape.kv_heads, rows, shape.head_dim}, shape.dtype, random);
    const at::Tensor values =
        random_tensor({shape.kv_heads, rows, shape.head_dim}, shape.dtype, random);
    LayerCache& layer = cache.layer_for_append(l);
    if (layer.kind.type == LayerKind::Type::ring) {
      ring_rows[l] = {keys, values};
      continue;
    }
    layer.tail.keys.narrow(1, layer.tail.length, rows).copy_(keys);
    layer.tail.values.narrow(1, layer.tail.length, rows).copy_(values);
  }
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < rows; ++i)
    tokens.push_back(static_cast<int32_t>((cache.logical_length() + i) * 7 % 1000));
  cache.commit(tokens, ring_rows);
}

struct SegmentExtras {
  bool bias = false;
  std::vector<std::string> names = {};
};

/// Random contents with `lengths[h]` slots for head h at random positions of the span.
inline LayerSegmentPtr random_segment(const CacheShape& shape, const std::vector<int64_t>& lengths,
                                      PositionRange span, Random& random,
                                      const SegmentExtras& extras = {}) {
  auto out = std::make_shared<LayerSegment>(segment_empty(shape));
  for (size_t h = 0; h < lengths.size(); ++h) out->offsets[h + 1] = out->offsets[h] + lengths[h];
  const int64_t n = out->slots();
  out->keys = random_tensor({n, shape.head_dim}, shape.dtype, random);
  out->values = random_tensor({n, shape.head_dim}, shape.dtype, random);
  out->positions = at::empty({n}, at::kInt);
  for (int64_t i = 0; i < n; ++i)
    out->positions.data_ptr<int32_t>()[i] =
        static_cast<int32_t>(span.begin + static_cast<int64_t>(random.below(span.size())));
  if (extras.bias) out->bias = random_tensor({n}, DType::f32, random);
  for (const std::string& name : extras.names)
    out->extras[name] = random_tensor({n}, DType::f32, random);
  return out;
}

/// Replaces segments [first, last) by one of `per_head` slots a head (head h holds h fewer).
inline void compact(KvCache& cache, int64_t first, int64_t last, int64_t per_head, Random& random,
                    const SegmentExtras& extras = {}) {
  const auto count = static_cast<int64_t>(cache.segments().size());
  KvCache::NewSegment fresh;
  fresh.info.begin = first < count ? cache.segments()[first].begin : cache.tail_begin();
  fresh.info.end = last > count ? cache.logical_length() : cache.segments()[last - 1].end;
  fresh.info.state = SpanState::compacted;
  fresh.info.method = "test";
  fresh.info.options = {{"ratio", "0.1"}};
  fresh.info.requested_ratio = 0.1;
  fresh.info.achieved_ratio = 1.0 / 3.0;
  fresh.info.statistics = {{"seconds", 0.1}, {"residual", 1e-7}};
  fresh.info.generation = 1;
  for (const LayerKind& kind : cache.shape().layers) {
    std::vector<int64_t> lengths;
    for (int64_t h = 0; h < cache.shape().kv_heads; ++h)
      lengths.push_back(std::max<int64_t>(0, per_head - h));
    fresh.layers.push_back(kind.type == LayerKind::Type::ring
                               ? nullptr
                               : random_segment(cache.shape(), lengths,
                                                {fresh.info.begin, fresh.info.end}, random,
                                                extras));
  }
  std::vector<KvCache::NewSegment> list;
  list.push_back(std::move(fresh));
  cache.replace_segments(first, last, std::move(list));
}

/// Segments, a biased one with side values, empty heads, rings that have wrapped, a tail.
inline KvCache rich_cache(DType dtype, uint64_t seed = 1) {
  Random random(seed);
  KvCache cache(shape_of(3, 8, dtype, {kFull, ring_of(9), kFull, ring_of(1), ring_of(100)}));
  append(cache, 270, random);
  cache.seal();
  append(cache, 20, random);
  cache.seal();
  append(cache, 15, random);
  cache.seal();
  // The third head of this one is empty.
  compact(cache, 0, 1, 2, random, {.bias = true, .names = {"mass", "odd.name"}});
  append(cache, 13, random);
  cache.set_protected_ranges({{0, 4}, {280, 290}});
  return cache;
}

}  // namespace limbeck::test
