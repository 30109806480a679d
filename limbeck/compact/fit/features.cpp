#include "limbeck/compact/fit/features.h"

#include "limbeck/cache/vector_math.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

[[maybe_unused]] const bool settled = settle_vector_math();

}  // namespace

at::Tensor attention_logits(const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& bias, double scale) {
  at::Tensor s = at::mm(queries, keys.t()).mul_(scale);
  if (bias.defined()) s.add_(bias);
  return s;
}

Features softmax_features(at::Tensor logits) {
  const at::Tensor top = logits.amax(1, true).nan_to_num(0.0, 0.0, 0.0);
  logits.sub_(top).exp_();
  at::Tensor mass = logits.sum(1, true);
  logits.div_(mass.clamp_min(1e-30));
  return {logits, (mass.log() + top).squeeze(1)};
}

HeadProblem HeadProblem::rows(const at::Tensor& index) const {
  HeadProblem p = *this;
  const auto pick = [&](at::Tensor& x) {
    if (x.defined()) x = x.index_select(0, index);
  };
  pick(p.queries);
  pick(p.weights);
  pick(p.outputs);
  pick(p.lse);
  pick(p.top);
  pick(p.mass);
  return p;
}

void HeadProblem::complete() {
  if (outputs.defined() && lse.defined()) return;
  const int64_t n = queries.size(0);
  outputs = at::empty({n, values.size(1)}, at::kFloat);
  lse = at::empty({n}, at::kFloat);
  constexpr int64_t kRows = 512;
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i);
    const Features f =
        softmax_features(attention_logits(queries.narrow(0, i, m), keys, bias, scale));
    outputs.narrow(0, i, m).copy_(at::mm(f.a, values));
    lse.narrow(0, i, m).copy_(f.lse);
  }
}

}  // namespace limbeck
