#include "limbeck/model/attention.h"

#include <ATen/ATen.h>

#include <limits>

namespace limbeck {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Dense keys, values [H, T, D] and additive mask [H, n or 1, T] of one part.
struct DensePart {
  at::Tensor keys, values, mask;
};

/// A ragged segment padded to its longest head; padding has mask -inf.
DensePart pad_segment(const LayerSegment& s) {
  const int64_t heads = s.kv_heads();
  int64_t longest = 0;
  for (int64_t h = 0; h < heads; ++h) longest = std::max(longest, s.slots(h));
  std::vector<at::Tensor> keys, values, masks;
  for (int64_t h = 0; h < heads; ++h) {
    const int64_t n = s.slots(h), begin = s.offsets[h], pad = longest - n;
    const auto rows = [&](const at::Tensor& t) {
      return at::constant_pad_nd(t.narrow(0, begin, n), {0, 0, 0, pad});
    };
    keys.push_back(rows(s.keys));
    values.push_back(rows(s.values));
    const auto f32 = s.keys.options().dtype(at::kFloat).requires_grad(false);
    at::Tensor bias = s.bias.defined() ? s.bias.narrow(0, begin, n) : at::zeros({n}, f32);
    masks.push_back(at::constant_pad_nd(bias, {0, pad}, kMinusInfinity));
  }
  return {at::stack(keys), at::stack(values), at::stack(masks).unsqueeze(1)};
}

/// Mask [n, T] over keys at positions `first`..: row i sits at position `at + i` and sees the last
/// `window` positions (0 = all), itself included.
at::Tensor visibility(int64_t rows, int64_t at_position, int64_t first, int64_t keys,
                      int64_t window) {
  const at::Tensor q = at::arange(at_position, at_position + rows).unsqueeze(1);
  const at::Tensor k = at::arange(first, first + keys).unsqueeze(0);
  at::Tensor hidden = k > q;
  if (window > 0) hidden = hidden.logical_or(k <= q - window);
  return at::zeros({rows, keys}, at::kFloat).masked_fill(hidden, kMinusInfinity);
}

}  // namespace

at::Tensor attention_plain(const AttentionInput& in, at::Tensor* lse) {
  const LayerCache& cache = *in.cache;
  const int64_t heads = in.keys.size(0), rows = in.queries.size(1), dim = in.queries.size(2);
  const int64_t group = in.queries.size(0) / heads;
  const bool ring = cache.kind.type == LayerKind::Type::ring;
  const LayerTail& tail = cache.tail;

  std::vector<at::Tensor> keys, values, masks;
  for (const auto& segment : cache.segments) {
    if (segment->slots() == 0) continue;
    DensePart part = pad_segment(*segment);
    keys.push_back(part.keys);
    values.push_back(part.values);
    masks.push_back(part.mask.expand({heads, rows, part.keys.size(1)}));
  }
  // The tail's newest row sits directly before the new rows.
  const int64_t position = tail.first_position + tail.length;
  if (tail.length > 0) {
    const auto [k, v] = ring ? ring_linear(tail)
                             : std::pair{tail.keys.narrow(1, 0, tail.length),
                                         tail.values.narrow(1, 0, tail.length)};
    keys.push_back(k);
    values.push_back(v);
    masks.push_back(
        visibility(rows, position, tail.first_position, tail.length, ring ? cache.kind.window : 0)
            .unsqueeze(0)
            .expand({heads, rows, tail.length}));
  }
  keys.push_back(in.keys);
  values.push_back(in.values);
  masks.push_back(visibility(rows, position, position, rows, ring ? cache.kind.window : 0)
                      .unsqueeze(0)
                      .expand({heads, rows, rows}));

  const at::Tensor k = at::cat(keys, 1).to(at::kFloat), v = at::cat(values, 1).to(at::kFloat);
  const at::Tensor q = in.queries.reshape({heads, group * rows, dim}).to(at::kFloat);
  at::Tensor logits = at::matmul(q, k.transpose(1, 2)).mul(in.scale);
  logits = logits.view({heads, group, rows, -1}) + at::cat(masks, 2).unsqueeze(1);
  if (lse != nullptr) *lse = at::logsumexp(logits, {-1}).view({heads * group, rows});
  const at::Tensor p = at::softmax(logits, -1).view({heads, group * rows, -1});
  return at::matmul(p, v)
      .view({heads * group, rows, dim})
      .transpose(0, 1)
      .reshape({rows, heads * group * dim})
      .to(in.queries.scalar_type());
}

}  // namespace limbeck
