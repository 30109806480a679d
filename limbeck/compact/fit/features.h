/// Attention of reference queries over one head's slots: what every fit starts from.
///
/// Notation of the Attention Matching paper (arXiv 2602.16284) throughout this room: T slots
/// before, t after, n reference queries with row weights omega; s = scale q.k + b; A = softmax(s).
/// Pure tensor functions: no model, no cache, no files. Products of f32 matrices run at the
/// precision that is set around the call (MediumPrecision: bf16 operands, f32 sums); whatever is
/// factorised is in f64.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace limbeck {

/// One head's slots and the queries that its compact form has to answer like them.
struct HeadProblem {
  at::Tensor queries;  ///< [n, D] f32, all query heads of the group, after norm and RoPE
  at::Tensor weights;  ///< [n] f32 row weights omega >= 0, or undefined: all 1
  at::Tensor keys;     ///< [T, D] f32
  at::Tensor values;   ///< [T, D] f32
  at::Tensor bias;     ///< [T] f32 or undefined: bias that the slots have already
  double scale = 1.0;
  /// What the queries see in all slots, when it is known already: outputs [n, D] and log masses
  /// [n].
  at::Tensor outputs, lse;
  /// And for the published fits: highest logit and mass beside it, as in HeadAttention.
  at::Tensor top = {}, mass = {};

  /// The same head with some of the rows.
  HeadProblem rows(const at::Tensor& index) const;
  /// Fills outputs and lse if they are missing.
  void complete();
};

/// s [n, T] f32.
at::Tensor attention_logits(const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& bias, double scale);

struct Features {
  at::Tensor a;    ///< [n, T] f32, rows sum to 1
  at::Tensor lse;  ///< [n] f32, log of the row's mass
};
/// Calls fn(logits, first row) for one block of the problem's rows after another: logits [m, T] f32
/// of some hundred rows, which stay in the cache while they are worked on, and which fn may change.
template <class F>
void for_each_row_block(const HeadProblem& p, F&& fn) {
  constexpr int64_t kRows = 256;
  const int64_t n = p.queries.size(0);
  for (int64_t i = 0; i < n; i += kRows)
    fn(attention_logits(p.queries.narrow(0, i, std::min(kRows, n - i)), p.keys, p.bias, p.scale),
       i);
}

/// Softmax of logits, in place: `logits` becomes `a`. A row of -inf becomes zeros with lse -inf.
Features softmax_features(at::Tensor logits);

}  // namespace limbeck
