#include "limbeck/compact/fit/published_targets.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {

PublishedTargets published_targets(const HeadProblem& p, const at::Tensor& kept) {
  const int64_t n = p.queries.size(0);
  PublishedTargets out;
  out.logits = at::empty({n, kept.size(0)}, at::kFloat);
  out.top = at::empty({n}, at::kFloat);
  out.mass = at::empty({n}, at::kFloat);
  out.lse = at::empty({n}, at::kFloat);
  out.outputs = at::empty({n, p.values.size(1)}, at::kFloat);
  constexpr int64_t kRows = 256;  // logits of a block of rows stay in the cache
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i);
    const auto rows = [&](const at::Tensor& x) { return x.narrow(0, i, m); };
    const at::Tensor logits = attention_logits(rows(p.queries), p.keys, p.bias, p.scale);
    rows(out.logits).copy_(logits.index_select(1, kept));
    rows(out.top).copy_(logits.amax(1));
    const Features f = softmax_features(logits);
    rows(out.mass).copy_(f.a.amax(1).reciprocal_());
    rows(out.lse).copy_(f.lse);
    rows(out.outputs).copy_(at::mm(f.a, p.values));
  }
  return out;
}

}  // namespace limbeck
