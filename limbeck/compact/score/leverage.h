/// Statistical leverage: how little of a key the other keys of its head explain (arXiv 2507.08143).
///
/// Exact by default, with a ridge relative to the keys' own size; the published sketch is an
/// option.
#pragma once

#include "limbeck/compact/score/scorer.h"

namespace limbeck {

struct LeverageForm {
  double ridge = 1e-5;  ///< c: the ridge is c tr(A) / d
  int64_t chunk = 0;  ///< rows of one domain; 0 = all. A tail shorter than 2 D joins the one before
  int64_t sketch = 0;  ///< project to so many dimensions first; 0 = exact
};

/// l_j = w_j x_j^T (A + mu I)^-1 x_j in [0, 1) for rows x of `keys` [n, D] less their mean, A = sum
/// w x x^T. `weights` [n] f32 or undefined: all 1. Returns [n] f32; zeros for fewer than two rows
/// or equal ones. Throws InvalidArgument when sketch >= D, NumericalError when A cannot be factored
/// even with 10^5 times the ridge. Cost 3/2 n D^2, in f32 with sums and factors in f64: the
/// products must not be rounded to bf16.
at::Tensor leverage_scores(const at::Tensor& keys, const at::Tensor& weights,
                           const LeverageForm& form);
/// The exact form by a plain solve in f64, over all rows at once.
at::Tensor leverage_plain(const at::Tensor& keys, const at::Tensor& weights, double ridge);

/// Keys of a layer before RoPE, as stored when in.model is null. Angles are computed once for all
/// heads where these hold most of the positions between their first and last.
class KeysBeforeRope {
 public:
  explicit KeysBeforeRope(const ScoreInput& in);
  /// Keys of head h at the slots `slots` [m] i64 of that head: [m, D] f32.
  at::Tensor rows(int64_t h, const at::Tensor& slots) const;

 private:
  const ScoreInput& in_;
  int64_t first_ = 0;     ///< position of row 0 of the tables
  at::Tensor cos_, sin_;  ///< [positions, D / 2] f32, or undefined: head by head
};
/// Slot numbers [m] i64 of head h that are not kept already and can be seen.
at::Tensor open_slots(const ScoreInput& in, int64_t h);
/// exp(bias) of these slots: the tokens that each stands for; undefined when there is no bias.
at::Tensor slot_weights(const ScoreInput& in, int64_t h, const at::Tensor& slots);

}  // namespace limbeck
