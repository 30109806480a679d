#include "limbeck/compact/score/head_problem.h"

#include "limbeck/base/error.h"

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

HeadAttention head_attention(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                             const at::Tensor& elsewhere) {
  const int64_t first = slots.offsets[h], n = slots.slots(h);
  return head_attention({queries.group_rows(h, slots.kv_heads()), slots.keys.narrow(0, first, n),
                         slots.values.narrow(0, first, n),
                         slots.bias.defined() ? slots.bias.narrow(0, first, n) : at::Tensor(),
                         queries.scale, elsewhere});
}

at::Tensor mass_elsewhere(const ScoreInput& in, int64_t h) {
  const int64_t heads = in.slots->kv_heads();
  const double scale = in.queries->scale;
  std::vector<at::Tensor> parts;
  for (const QueryChunk& c : in.queries->chunks) {
    LIMBECK_CHECK(c.fed_keys.defined(), "a subset of the rows does not know what else they see");
    const int64_t group = c.queries.size(0) / heads, n = c.queries.size(1);
    const at::Tensor q = c.queries.narrow(0, h * group, group).unsqueeze(0);  // [1, G, n, D]
    const at::Tensor k = c.fed_keys[h].unsqueeze(0).unsqueeze(0).expand(q.sizes());
    at::Tensor lse = std::get<1>(at::_scaled_dot_product_flash_attention_for_cpu(
                                     q.contiguous(), k, k, 0.0, true, std::nullopt, scale))
                         .reshape({group, n})
                         .to(at::kFloat);
    for (const PositionRange& r : {PositionRange{0, in.span.begin},
                                   PositionRange{in.span.end, in.cache->logical_length()}}) {
      if (r.size() <= 0) continue;
      const LayerSegment other = cache_gather(*in.cache, in.layer, r);
      if (other.slots(h) == 0) continue;
      const auto rows = [&](const at::Tensor& x) {
        return x.narrow(0, other.offsets[h], other.slots(h));
      };
      const at::Tensor logits = attention_logits(
          q.reshape({group * n, q.size(3)}).to(at::kFloat), rows(other.keys).to(at::kFloat),
          other.bias.defined() ? rows(other.bias) : at::Tensor(), scale);
      lse = at::logaddexp(lse, at::logsumexp(logits, {1}).view({group, n}));
    }
    parts.push_back(lse);
  }
  return at::cat(parts, 1).reshape({-1});
}

}  // namespace limbeck
