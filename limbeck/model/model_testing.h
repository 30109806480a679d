/// Small models, token sequences and ragged caches for this room's tests.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/model/model.h"

#include <ATen/ATen.h>

namespace limbeck::test {

/// Layers of both kinds, three query heads to a KV head; everything small and odd-sized.
inline ModelSpec small_spec(std::vector<int64_t> windows = {0, 6, 0}) {
  ModelSpec s;
  s.family = "llama";
  s.hidden = 40;
  s.intermediate = 56;
  s.query_heads = 6;
  s.kv_heads = 2;
  s.head_dim = 16;
  s.vocabulary = 97;
  s.context_length = 256;
  s.softmax_scale = 0.25;
  for (int64_t window : windows)
    s.layers.push_back(
        {window > 0 ? LayerKind{LayerKind::Type::ring, window} : LayerKind{}, RopeSpec{}});
  return s;
}

inline std::vector<int32_t> random_tokens(int64_t count, uint64_t seed, int64_t vocabulary = 97) {
  Random random(seed);
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<int32_t>(random.below(vocabulary)));
  return out;
}

inline at::Tensor random_tensor(std::vector<int64_t> shape, Random& random,
                                at::ScalarType type = at::kFloat) {
  at::Tensor t = at::empty(shape, at::kFloat);
  float* p = t.mutable_data_ptr<float>();
  for (int64_t i = 0; i < t.numel(); ++i) p[i] = static_cast<float>(random.normal());
  return t.to(type);
}

/// A segment whose head h holds slots[h] random entries.
inline LayerSegment random_segment(const std::vector<int64_t>& slots, int64_t dim, bool biased,
                                   Random& random, at::ScalarType type = at::kFloat) {
  LayerSegment s;
  s.offsets = {0};
  for (int64_t n : slots) s.offsets.push_back(s.offsets.back() + n);
  s.keys = random_tensor({s.slots(), dim}, random, type);
  s.values = random_tensor({s.slots(), dim}, random, type);
  if (biased) s.bias = random_tensor({s.slots()}, random);
  s.positions = at::zeros({s.slots()}, at::kInt);
  return s;
}

/// Replaces everything that a cache holds by one ragged, biased segment in every full layer.
inline void compact_randomly(KvCache& cache, uint64_t seed, bool biased = true) {
  Random random(seed);
  const CacheShape& shape = cache.shape();
  KvCache::NewSegment segment;
  segment.info.begin = 0;
  segment.info.end = cache.logical_length();
  segment.info.state = SpanState::compacted;
  segment.info.method = "random";
  const auto type = shape.dtype == DType::f32 ? at::kFloat : at::kBFloat16;
  for (const LayerKind& kind : shape.layers) {
    std::vector<int64_t> slots;
    for (int64_t h = 0; h < shape.kv_heads; ++h)
      slots.push_back(static_cast<int64_t>(random.below(6)) + h);
    segment.layers.push_back(kind.type == LayerKind::Type::ring
                                 ? nullptr
                                 : std::make_shared<LayerSegment>(random_segment(
                                       slots, shape.head_dim, biased, random, type)));
  }
  cache.replace_segments(0, static_cast<int64_t>(cache.segments().size()) + 1,
                         {std::move(segment)});
}

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace limbeck::test
