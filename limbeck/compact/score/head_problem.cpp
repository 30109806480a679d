#include "limbeck/compact/score/head_problem.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/parallel.h"

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
    p.top = seen->top;
    p.mass = seen->mass;
  }
  return p;
}

namespace {

HeadRows head_rows(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                   const at::Tensor& elsewhere) {
  const int64_t first = slots.offsets[h], n = slots.slots(h);
  return {queries.group_rows(h, slots.kv_heads()),
          slots.keys.narrow(0, first, n),
          slots.values.narrow(0, first, n),
          slots.bias.defined() ? slots.bias.narrow(0, first, n) : at::Tensor(),
          queries.scale,
          elsewhere};
}

}  // namespace

HeadAttention head_attention(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                             const at::Tensor& elsewhere) {
  return head_attention(head_rows(slots, queries, h, elsewhere));
}

std::vector<HeadAttention> layer_attention(const LayerSegment& slots, const LayerQueries& queries,
                                           const at::Tensor& elsewhere) {
  constexpr int64_t kParts = 4;  // heads alone may not share out evenly
  const int64_t heads = slots.kv_heads();
  std::vector<HeadRows> rows(heads);
  for (int64_t h = 0; h < heads; ++h)
    if (slots.slots(h) > 0)
      rows[h] = head_rows(slots, queries, h, elsewhere.defined() ? elsewhere[h] : at::Tensor());
  std::vector<std::vector<HeadAttention>> parts(heads, std::vector<HeadAttention>(kParts));
  parallel_tasks(heads * kParts, [&](int64_t i) {
    const HeadRows& all = rows[i / kParts];
    if (!all.queries.defined()) return;
    const int64_t n = all.queries.size(0), begin = n * (i % kParts) / kParts,
                  end = n * (i % kParts + 1) / kParts;
    HeadRows part = all;
    part.queries = all.queries.narrow(0, begin, end - begin);
    if (all.elsewhere.defined()) part.elsewhere = all.elsewhere.narrow(0, begin, end - begin);
    parts[i / kParts][i % kParts] = head_attention(part);
  });
  std::vector<HeadAttention> out(heads);
  for (int64_t h = 0; h < heads; ++h)
    if (rows[h].queries.defined()) out[h] = join_attention(parts[h]);
  return out;
}

at::Tensor mass_elsewhere(const LayerQueries& queries, int64_t kv_heads) {
  std::vector<at::Tensor> parts;
  for (const QueryChunk& c : queries.chunks) {
    LIMBECK_CHECK(c.elsewhere.defined(), "rows that do not know what else they see");
    parts.push_back(c.elsewhere);
  }
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 1)).reshape({kv_heads, -1});
}

}  // namespace limbeck
