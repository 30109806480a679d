#include "limbeck/compact/score/own_attention.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/parallel.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr float kHidden = -std::numeric_limits<float>::infinity();

bool rising(const at::Tensor& positions) {
  const int32_t* p = positions.const_data_ptr<int32_t>();
  return std::is_sorted(p, p + positions.numel());
}

/// Slots at or before a position, when positions rise.
int64_t slots_until(const at::Tensor& positions, int64_t position) {
  const int32_t* p = positions.const_data_ptr<int32_t>();
  return std::upper_bound(p, p + positions.numel(), position) - p;
}

}  // namespace

at::Tensor attention_sums(const OwnAttention& in) {
  const int64_t n = in.queries.size(0), slots = in.keys.size(0);
  const bool sorted = rising(in.positions);
  const at::Tensor keys = in.keys.to(at::kFloat);
  const at::Tensor before = in.before.defined() ? in.before.to(at::kFloat) : at::Tensor();
  const auto earlier = before.defined() ? static_cast<double>(before.size(0)) : 0.0;
  at::Tensor sums = at::zeros({slots}, at::kDouble);
  constexpr int64_t kRows = 64;  // logits of a block of rows stay in the cache
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i), position = in.first + i;
    // Nobody in this block sees slots beyond `seen`, everybody sees those up to `all`.
    const int64_t seen = sorted ? slots_until(in.positions, position + m - 1) : slots,
                  all = sorted ? slots_until(in.positions, position) : 0;
    const at::Tensor q = in.queries.narrow(0, i, m).to(at::kFloat);
    at::Tensor logits =
        attention_logits(q, keys.narrow(0, 0, seen),
                         in.bias.defined() ? in.bias.narrow(0, 0, seen) : at::Tensor(), in.scale);
    const at::Tensor rows = at::arange(position, position + m, at::kInt).unsqueeze(1);
    const at::Tensor late = in.positions.narrow(0, all, seen - all).unsqueeze(0) > rows;
    logits.narrow(1, all, seen - all).masked_fill_(late, kHidden);
    // One exponential an element: shifted by the row's greatest logit, divided by the row's mass.
    at::Tensor top = seen > 0 ? logits.amax({1}) : at::full({m}, kHidden, at::kFloat);
    at::Tensor other = at::full({m}, kHidden, at::kFloat);
    if (before.defined()) {
      other = at::logsumexp(attention_logits(q, before, in.before_bias, in.scale), {1});
      top = at::maximum(top, other);
    }
    top.masked_fill_(top == kHidden, 0.0);
    const at::Tensor parts = logits.sub_(top.unsqueeze(1)).exp_();
    const at::Tensor mass = parts.sum(1) + (other - top).exp();
    at::Tensor weights = at::ones({m}, at::kFloat);
    if (in.count_visible)
      weights = late.logical_not().sum(1).to(at::kFloat).add_(static_cast<double>(all) + earlier);
    weights.div_(mass).masked_fill_(mass == 0, 0.0);
    sums.narrow(0, 0, seen).add_(at::mv(parts.t(), weights).to(at::kDouble));
  }
  return sums.to(at::kFloat);
}

at::Tensor attention_sums_plain(const OwnAttention& in) {
  at::Tensor sums = at::zeros({in.keys.size(0)}, at::kDouble);
  const auto logits_of = [&](const at::Tensor& q, const at::Tensor& keys, const at::Tensor& bias) {
    at::Tensor s = at::mv(keys.to(at::kDouble), q.to(at::kDouble)) * in.scale;
    return bias.defined() ? s + bias.to(at::kDouble) : s;
  };
  for (int64_t i = 0; i < in.queries.size(0); ++i) {
    const at::Tensor visible = in.positions <= in.first + i;
    const at::Tensor mass =
        logits_of(in.queries[i], in.keys, in.bias).exp().mul(visible.to(at::kDouble));
    double total = mass.sum().item<double>();
    auto count = static_cast<double>(visible.sum().item<int64_t>());
    if (in.before.defined()) {
      total += logits_of(in.queries[i], in.before, in.before_bias).exp().sum().item<double>();
      count += static_cast<double>(in.before.size(0));
    }
    if (total > 0) sums += mass / total * (in.count_visible ? count : 1.0);
  }
  return sums.to(at::kFloat);
}

std::vector<at::Tensor> layer_attention_sums(const ScoreInput& in, int64_t rows,
                                             bool count_visible) {
  LIMBECK_CHECK(in.own != nullptr, "a scorer of own queries was given none");
  const LayerSegment& s = *in.slots;
  const OwnQueries own = in.own->last(rows);
  const int64_t heads = s.kv_heads(), group = own.queries.size(0) / heads;
  LayerSegment before;
  if (in.cache != nullptr && in.span.begin > 0)
    before = cache_gather(*in.cache, in.layer, {0, in.span.begin});
  const auto rows_of = [](const LayerSegment& part, const at::Tensor& x, int64_t h) {
    return x.defined() ? x.narrow(0, part.offsets[h], part.slots(h)) : x;
  };
  std::vector<at::Tensor> out(heads);
  for (int64_t h = 0; h < heads; ++h) out[h] = at::zeros({group, s.slots(h)}, at::kFloat);
  parallel_tasks(heads * group, [&](int64_t g) {
    const int64_t h = g / group;
    if (s.slots(h) == 0) return;
    OwnAttention a;
    a.queries = own.queries[g];
    a.first = own.first;
    a.keys = rows_of(s, s.keys, h);
    a.positions = rows_of(s, s.positions, h);
    a.bias = rows_of(s, s.bias, h);
    if (before.keys.defined() && before.slots(h) > 0) {
      a.before = rows_of(before, before.keys, h);
      a.before_bias = rows_of(before, before.bias, h);
    }
    a.scale = own.scale;
    a.count_visible = count_visible;
    out[h][g % group].copy_(attention_sums(a));
  });
  return out;
}

}  // namespace limbeck
