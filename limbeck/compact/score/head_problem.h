/// One head of a layer's slots and queries as the fits want it.
#pragma once

#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/score/scorer.h"

namespace limbeck {

/// Keys, values and bias of head h in f32, with all reference rows of its group.
/// With `seen`, targets come along.
HeadProblem head_problem(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                         const HeadAttention* seen = nullptr);
inline HeadProblem head_problem(const ScoreInput& in, int64_t h) {
  const bool known = in.seen != nullptr && !in.seen->empty();
  return head_problem(*in.slots, *in.queries, h, known ? &(*in.seen)[h] : nullptr);
}
/// Everything that the rows see in the slots of head h. `elsewhere` [n] as in HeadRows.
HeadAttention head_attention(const LayerSegment& slots, const LayerQueries& queries, int64_t h,
                             const at::Tensor& elsewhere = {});
/// The same head by head for a whole layer, shared evenly among the threads. `elsewhere` [H, n] or
/// undefined.
std::vector<HeadAttention> layer_attention(const LayerSegment& slots, const LayerQueries& queries,
                                           const at::Tensor& elsewhere);

/// Log of the mass that the rows find outside the span [H, group * n].
at::Tensor mass_elsewhere(const LayerQueries& queries, int64_t kv_heads);

}  // namespace limbeck
