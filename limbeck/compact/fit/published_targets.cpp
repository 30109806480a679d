#include "limbeck/compact/fit/published_targets.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

/// `before` and `after` see each block of rows before and after its softmax.
template <class Before, class After>
PublishedTargets targets_by_block(const HeadProblem& p, Before&& before, After&& after) {
  const int64_t n = p.queries.size(0);
  PublishedTargets out;
  out.top = at::empty({n}, at::kFloat);
  out.mass = at::empty({n}, at::kFloat);
  out.lse = at::empty({n}, at::kFloat);
  out.outputs = at::empty({n, p.values.size(1)}, at::kFloat);
  for_each_row_block(p, [&](const at::Tensor& logits, int64_t first) {
    const auto rows = [&](const at::Tensor& x) { return x.narrow(0, first, logits.size(0)); };
    before(logits, first);
    rows(out.top).copy_(logits.amax(1));
    const Features f = softmax_features(logits);
    rows(out.mass).copy_(f.a.amax(1).reciprocal_());
    rows(out.lse).copy_(f.lse);
    rows(out.outputs).copy_(at::mm(f.a, p.values));
    after(f.a, first);
  });
  return out;
}

constexpr auto kNobody = [](const at::Tensor&, int64_t) {};

}  // namespace

PublishedTargets published_targets(const HeadProblem& p, const at::Tensor& kept) {
  if (p.top.defined()) {
    const at::Tensor bias = p.bias.defined() ? p.bias.index_select(0, kept) : at::Tensor();
    return {attention_logits(p.queries, p.keys.index_select(0, kept), bias, p.scale), p.top, p.mass,
            p.lse, p.outputs};
  }
  at::Tensor logits = at::empty({p.queries.size(0), kept.size(0)}, at::kFloat);
  PublishedTargets out = targets_by_block(
      p,
      [&](const at::Tensor& block, int64_t first) {
        logits.narrow(0, first, block.size(0)).copy_(block.index_select(1, kept));
      },
      kNobody);
  out.logits = logits;
  return out;
}

PublishedTargets published_targets(
    const HeadProblem& p, const std::function<void(const at::Tensor& a, int64_t first)>& features) {
  return targets_by_block(p, kNobody, features);
}

HeadAttention as_seen(PublishedTargets t) {
  HeadAttention seen;
  seen.part = at::ones_like(t.lse);
  seen.outputs = std::move(t.outputs);
  seen.lse = std::move(t.lse);
  seen.top = std::move(t.top);
  seen.mass = std::move(t.mass);
  return seen;
}

}  // namespace limbeck
