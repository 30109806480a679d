/// One head of a layer's slots and queries as the fits want it.
#pragma once

#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/score/scorer.h"

namespace limbeck {

/// Keys, values and bias of head h in f32, with all reference rows of its group.
HeadProblem head_problem(const LayerSegment& slots, const LayerQueries& queries, int64_t h);
inline HeadProblem head_problem(const ScoreInput& in, int64_t h) {
  return head_problem(*in.slots, *in.queries, h);
}

}  // namespace limbeck
