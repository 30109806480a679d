#include "limbeck/model/attention.h"

#include "limbeck/base/error.h"
#include "limbeck/model/attention_tiles.h"
#include "limbeck/model/products.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Partial result of one part for KV heads [first_head, first_head + out.size(0)).
struct Partial {
  at::Tensor out;  ///< [heads, G, n, D], any strides but the last
  at::Tensor lse;  ///< [heads, G, n] f32
  int64_t first_head = 0;
};

struct Shape {
  int64_t heads, group, rows, dim;
};

Partial flash(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
              const std::optional<at::Tensor>& mask, const Shape& s, double scale,
              int64_t first_head) {
  const auto [out, lse] = flash_attention(q, k, v, causal, mask, scale);
  return {out.view({q.size(0), s.group, s.rows, s.dim}), lse.view({q.size(0), s.group, s.rows}),
          first_head};
}

Partial partial_of(const TileAttention& a, const Shape& s, int64_t first_head) {
  const int64_t heads = a.out.size(0);
  return {a.out.view({heads, s.group, s.rows, s.dim}), a.lse.view({heads, s.group, s.rows}),
          first_head};
}

/// Keys and values [heads, t, D] that every row sees: the group's queries become rows of one
/// product.
Partial attend_all(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   const at::Tensor& bias, const Shape& s, double scale, int64_t first_head) {
  const TileAttentionInput tiles{
      q.reshape({q.size(0), s.group * s.rows, s.dim}), k, v, bias, 0, scale};
  if (tile_attention_serves(tiles)) return partial_of(tile_attention(tiles), s, first_head);
  const at::Tensor rows = q.view({q.size(0), 1, s.group * s.rows, s.dim});
  std::optional<at::Tensor> mask;
  if (bias.defined()) mask = bias.view({bias.size(0), 1, 1, bias.size(1)});
  const Partial part =
      flash(rows, k.unsqueeze(1), v.unsqueeze(1), false, mask, s, scale, first_head);
  if (bias.defined()) {  // of rows that see nothing torch says that they have a mass of 1
    const at::Tensor blind = bias.isneginf().all(1);
    if (blind.any().item<bool>()) part.lse.masked_fill_(blind.view({-1, 1, 1}), kMinusInfinity);
  }
  return part;
}

void attend_segment(const LayerSegment& segment, const at::Tensor& q, const Shape& s, double scale,
                    std::vector<Partial>& partials) {
  if (segment.slots() == 0) return;
  if (segment.uniform()) {
    const int64_t t = segment.slots(0);
    const auto heads = [&](const at::Tensor& x) { return x.view({s.heads, t, s.dim}); };
    const at::Tensor bias = segment.bias.defined() ? segment.bias.view({s.heads, t}) : at::Tensor();
    partials.push_back(
        attend_all(q, heads(segment.keys), heads(segment.values), bias, s, scale, 0));
    return;
  }
  for (int64_t h = 0; h < s.heads; ++h) {
    const int64_t begin = segment.offsets[h], t = segment.slots(h);
    if (t == 0) continue;
    const auto rows = [&](const at::Tensor& x) { return x.narrow(0, begin, t).unsqueeze(0); };
    partials.push_back(attend_all(q.narrow(0, h, 1), rows(segment.keys), rows(segment.values),
                                  segment.bias.defined() ? rows(segment.bias) : at::Tensor(), s,
                                  scale, h));
  }
}

/// Own rows: causal among themselves. KV head as batch, group as heads of stride 0: nothing is
/// copied.
Partial attend_own(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Shape& s,
                   double scale) {
  const TileAttentionInput tiles{
      q.view({s.heads, s.group * s.rows, s.dim}), k, v, at::Tensor(), s.rows, scale};
  if (tile_attention_serves(tiles)) return partial_of(tile_attention(tiles), s, 0);
  const auto expand = [&](const at::Tensor& x) {
    return x.unsqueeze(1).expand({s.heads, s.group, s.rows, s.dim});
  };
  const auto [out, lse] = flash_attention(q, expand(k), expand(v), true, std::nullopt, scale);
  return {out, lse, 0};
}

/// The tail and the own rows under the caller's mask.
Partial attend_masked(const AttentionInput& in, const at::Tensor& q, const Shape& s) {
  LIMBECK_CHECK(in.cache->segments.empty(), "a mask over {} segments", in.cache->segments.size());
  const LayerTail& tail = in.cache->tail;
  at::Tensor k = in.keys, v = in.values;
  if (tail.length > 0) {
    k = at::cat({tail.keys.narrow(1, 0, tail.length), k}, 1);
    v = at::cat({tail.values.narrow(1, 0, tail.length), v}, 1);
  }
  const int64_t keys = k.size(1);
  const auto expand = [&](const at::Tensor& x) {
    return x.unsqueeze(1).expand({s.heads, s.group, keys, s.dim});
  };
  const auto [out, lse] =
      flash_attention(q, expand(k), expand(v), false, in.mask.view({1, 1, s.rows, keys}), in.scale);
  return {out, lse, 0};
}

/// A sliding-window layer: the ring in order, then the own rows, under one band mask.
Partial attend_ring(const AttentionInput& in, const at::Tensor& q, const Shape& s) {
  at::Tensor k = in.keys, v = in.values;
  const LayerTail& ring = in.cache->tail;
  const int64_t before = ring.length, window = in.cache->kind.window;
  if (before > 0) {
    const auto [rk, rv] = ring_linear(ring);
    k = at::cat({rk, in.keys}, 1);
    v = at::cat({rv, in.values}, 1);
  }
  const int64_t keys = before + s.rows;
  at::Tensor mask = at::empty({s.rows, keys}, at::kFloat);
  float* m = mask.mutable_data_ptr<float>();
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t j = 0; j < keys; ++j)
      m[i * keys + j] = j <= before + i && j > before + i - window ? 0.0F : kMinusInfinity;
  const auto expand = [&](const at::Tensor& x) {
    return x.unsqueeze(1).expand({s.heads, s.group, keys, s.dim});
  };
  const auto [out, lse] =
      flash_attention(q, expand(k), expand(v), false, mask.view({1, 1, s.rows, keys}), in.scale);
  return {out, lse, 0};
}

/// out[n, h, g] = sum_p exp(lse_p - lse) out_p, with lse over the parts that hold the head.
template <class T>
void merge(const std::vector<Partial>& partials, const Shape& s, T* out, float* lse_out) {
  struct View {
    const T* out;
    const float* lse;
    int64_t head, heads, oh, og, on, lh, lg, ln;
  };
  std::vector<View> views;
  for (const Partial& p : partials)
    views.push_back({p.out.const_data_ptr<T>(), p.lse.const_data_ptr<float>(), p.first_head,
                     p.out.size(0), p.out.stride(0), p.out.stride(1), p.out.stride(2),
                     p.lse.stride(0), p.lse.stride(1), p.lse.stride(2)});
  const int64_t query_heads = s.heads * s.group;
  at::parallel_for(0, s.rows, std::max<int64_t>(1, 4096 / (query_heads * s.dim)),
                   [&](int64_t begin, int64_t end) {
                     std::vector<float> sum(s.dim);
                     for (int64_t i = begin; i < end; ++i) {
                       for (int64_t q = 0; q < query_heads; ++q) {
                         const int64_t h = q / s.group, g = q % s.group;
                         float top = kMinusInfinity;
                         for (const View& v : views)
                           if (h >= v.head && h < v.head + v.heads)
                             top = std::max(top, v.lse[(h - v.head) * v.lh + g * v.lg + i * v.ln]);
                         std::fill(sum.begin(), sum.end(), 0.0F);
                         float mass = 0.0F;
                         for (const View& v : views) {
                           if (h < v.head || h >= v.head + v.heads) continue;
                           const float l = v.lse[(h - v.head) * v.lh + g * v.lg + i * v.ln];
                           if (l == kMinusInfinity) continue;
                           const float w = std::exp(l - top);
                           mass += w;
                           const T* row = v.out + (h - v.head) * v.oh + g * v.og + i * v.on;
                           for (int64_t d = 0; d < s.dim; ++d)
                             sum[d] += w * static_cast<float>(row[d]);
                         }
                         const float scale = mass > 0 ? 1.0F / mass : 0.0F;
                         T* row = out + (i * query_heads + q) * s.dim;
                         for (int64_t d = 0; d < s.dim; ++d)
                           row[d] = static_cast<T>(sum[d] * scale);
                         if (lse_out != nullptr)
                           lse_out[q * s.rows + i] =
                               mass > 0 ? top + std::log(mass) : kMinusInfinity;
                       }
                     }
                   });
}

}  // namespace

void attention_wide(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse) {
  const Shape s{in.keys.size(0), in.queries.size(0) / in.keys.size(0), in.queries.size(1),
                in.queries.size(2)};
  LIMBECK_CHECK(in.queries.is_contiguous() && out.is_contiguous(),
                "queries and out must be contiguous");
  const at::Tensor q = in.queries.view({s.heads, s.group, s.rows, s.dim});
  std::vector<Partial> partials;
  if (in.mask.defined()) {
    partials.push_back(attend_masked(in, q, s));
  } else if (in.cache->kind.type == LayerKind::Type::ring) {
    partials.push_back(attend_ring(in, q, s));
  } else {
    for (const auto& segment : in.cache->segments)
      attend_segment(*segment, q, s, in.scale, partials);
    const LayerTail& tail = in.cache->tail;
    if (tail.length > 0)
      partials.push_back(attend_all(q, tail.keys.narrow(1, 0, tail.length),
                                    tail.values.narrow(1, 0, tail.length), at::Tensor(), s,
                                    in.scale, 0));
    partials.push_back(attend_own(q, in.keys, in.values, s, in.scale));
  }
  if (lse != nullptr) *lse = at::empty({s.heads * s.group, s.rows}, at::kFloat);
  float* lse_out = lse != nullptr ? lse->mutable_data_ptr<float>() : nullptr;
  if (out.scalar_type() == at::kFloat)
    merge<float>(partials, s, out.mutable_data_ptr<float>(), lse_out);
  else
    merge<at::BFloat16>(partials, s, out.mutable_data_ptr<at::BFloat16>(), lse_out);
}

AttentionPart attention_over(const LayerSegment& segment, const at::Tensor& queries, double scale) {
  const int64_t heads = segment.kv_heads(), rows = queries.size(1), dim = queries.size(2);
  const Shape s{heads, queries.size(0) / heads, rows, dim};
  LIMBECK_CHECK(queries.is_contiguous(), "queries must be contiguous");
  std::vector<Partial> partials;
  attend_segment(segment, queries.view({heads, s.group, rows, dim}), s, scale, partials);
  if (partials.size() == 1 && partials[0].out.size(0) == heads)
    return {partials[0].out.reshape({-1, rows, dim}),
            partials[0].lse.reshape({-1, rows}).to(at::kFloat)};
  AttentionPart out{at::zeros_like(queries), at::full({queries.size(0), rows}, kMinusInfinity)};
  for (const Partial& p : partials) {
    const int64_t first = p.first_head * s.group, n = p.out.size(0) * s.group;
    out.out.narrow(0, first, n).copy_(p.out.reshape({n, rows, dim}));
    out.lse.narrow(0, first, n).copy_(p.lse.reshape({n, rows}));
  }
  return out;
}

namespace {

template <class T, class U>
void join(const at::Tensor& out, const at::Tensor& lse, const AttentionPart& part) {
  const int64_t heads = lse.size(0), rows = lse.size(1), dim = part.out.size(2);
  const at::Tensor own = lse.contiguous(), other = part.lse.contiguous();
  T* o = out.mutable_data_ptr<T>();
  const U* p = part.out.const_data_ptr<U>();
  const float *own_mass = own.const_data_ptr<float>(), *mass = other.const_data_ptr<float>();
  const int64_t sh = part.out.stride(0), sn = part.out.stride(1);
  at::parallel_for(0, rows, std::max<int64_t>(1, 4096 / (heads * dim)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i)
                       for (int64_t h = 0; h < heads; ++h) {
                         const float there = mass[h * rows + i];
                         if (there == kMinusInfinity) continue;
                         // Weight of the other part; exp(+inf) gives 0.
                         const float w = 1.0F / (1.0F + std::exp(own_mass[h * rows + i] - there));
                         T* a = o + (i * heads + h) * dim;
                         const U* b = p + h * sh + i * sn;
                         for (int64_t d = 0; d < dim; ++d) {
                           const auto x = static_cast<float>(a[d]);
                           a[d] = static_cast<T>(x + w * (static_cast<float>(b[d]) - x));
                         }
                       }
                   });
}

}  // namespace

void attention_join(const at::Tensor& out, const at::Tensor& lse, const AttentionPart& part) {
  LIMBECK_CHECK(out.is_contiguous() && part.out.stride(2) == 1 && out.numel() == part.out.numel() &&
                    lse.sizes() == part.lse.sizes(),
                "parts of the same rows");
  const bool narrow = out.scalar_type() == at::kBFloat16;
  if (part.out.scalar_type() == at::kBFloat16)
    narrow ? join<at::BFloat16, at::BFloat16>(out, lse, part)
           : join<float, at::BFloat16>(out, lse, part);
  else
    narrow ? join<at::BFloat16, float>(out, lse, part) : join<float, float>(out, lse, part);
}

}  // namespace limbeck
