/// What the text's own queries give to the slots of the span: sums of causal attention over rows.
///
/// The softmax of a row covers all slots at or before its position, those before the span
/// included. Costs O(rows x slots); a block of rows is held at a time, never rows x slots.
#pragma once

#include "limbeck/compact/score/scorer.h"

namespace limbeck {

/// One query head and the slots of its KV head.
struct OwnAttention {
  at::Tensor queries;    ///< [n, D], rows at positions first, first + 1, ...
  int64_t first = 0;     ///< logical position of row 0
  at::Tensor keys;       ///< [T, D] of the span
  at::Tensor positions;  ///< [T] i32, in any order
  at::Tensor bias;       ///< [T] f32 or undefined
  at::Tensor before;     ///< [S, D] keys of slots before the span, or undefined: none
  at::Tensor before_bias;
  double scale = 1.0;
  bool count_visible = false;  ///< a row weighs as many as the slots that it sees, instead of 1
};

/// [T] f32: the sum over rows i of w_i exp(s_ij - lse_i); 0 where no row sees slot j. A row that
/// sees nothing counts for nothing.
at::Tensor attention_sums(const OwnAttention& in);
/// The same from the formula, row by row in f64.
at::Tensor attention_sums_plain(const OwnAttention& in);

/// [G, T_h] f32 for each KV head h of the layer, by the last `rows` of in.own.
std::vector<at::Tensor> layer_attention_sums(const ScoreInput& in, int64_t rows,
                                             bool count_visible = false);

}  // namespace limbeck
