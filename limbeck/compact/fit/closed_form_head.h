/// The closed-form case of selectors and fits, for tests: four queries, five slots, d = 4.
#pragma once

#include "limbeck/compact/fit/features.h"

#include <ATen/ATen.h>

#include <vector>

namespace limbeck::test {

/// exp of its logits is the matrix below, whose rows sum to 8, 16, 16 and 16.
inline HeadProblem closed_form_head() {
  const at::Tensor ex = at::tensor(std::vector<float>{4, 1, 1, 1, 1, 2, 5, 6, 2, 1,  //
                                                      1, 1, 5, 3, 6, 2, 1, 5, 6, 2},
                                   at::kFloat)
                            .view({4, 5});
  HeadProblem p;
  p.scale = 0.5;
  p.queries = at::eye(4, at::kFloat) / p.scale;
  p.keys = ex.log().t().contiguous();
  p.values = at::zeros({5, 4}, at::kFloat);
  p.values.narrow(1, 0, 2).copy_(
      at::tensor(std::vector<float>{0, -2, 2, 0, -1, 1, -1, -2, 2, 2}, at::kFloat).view({5, 2}));
  return p;
}

}  // namespace limbeck::test
