#include "limbeck/compact/score/head_problem.h"

#include <ATen/ATen.h>

namespace limbeck {

HeadProblem head_problem(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                         const HeadAttention* seen) {
  const int64_t first = slots.offsets[h], n = slots.slots(h);
  HeadProblem p;
  std::tie(p.queries, p.weights) = queries.rows_of(h, slots.kv_heads());
  p.keys = slots.keys.narrow(0, first, n).to(at::kFloat);
  p.values = slots.values.narrow(0, first, n).to(at::kFloat);
  if (slots.bias.defined()) p.bias = slots.bias.narrow(0, first, n);
  p.scale = queries.scale;
  if (seen != nullptr) {
    p.outputs = seen->outputs;
    p.lse = seen->lse;
  }
  return p;
}

HeadAttention head_attention(const LayerSegment& slots, const LayerQueries& queries, int64_t h) {
  const int64_t first = slots.offsets[h], n = slots.slots(h);
  return head_attention({queries.group_rows(h, slots.kv_heads()), slots.keys.narrow(0, first, n),
                         slots.values.narrow(0, first, n),
                         slots.bias.defined() ? slots.bias.narrow(0, first, n) : at::Tensor(),
                         queries.scale});
}

}  // namespace limbeck
