/// Weighted pivoted Cholesky: which slots explain a head's mass and output best, in order.
///
/// Orthogonal least squares on the targets [lam 1, Y - v0] with the attention features as
/// dictionary: every pick is the exact best decrease of the residual energy, near-duplicates die by
/// the test on D, and the recorded energies are an error-versus-budget curve. A prefix of the order
/// is the answer for every smaller budget (docs/methods.md; ours).
#pragma once

#include "limbeck/compact/fit/gram.h"

namespace limbeck {

struct WpcOptions {
  int64_t limit = 0;            ///< slots to order, forced ones included
  std::vector<int32_t> forced;  ///< first pivots, in this order; skipped where the test on D fails
  double duplicate = 1e-5;      ///< a slot of which less is unexplained is not picked
  at::Tensor reference;         ///< [T] f64 what "less" is measured by; undefined = the diagonal
  int64_t block = 128;          ///< candidates of a round
  int64_t picks = 48;           ///< most picks of a round
};

struct WpcOrder {
  std::vector<int32_t> order;  ///< slots, forced ones (those that passed) first
  std::vector<double> energy;  ///< [order + 1] mean residual per query: energy[k] after k picks
  int64_t forced = 0;          ///< how many of the order were forced
  bool rank_reached = false;   ///< stopped before `limit`: nothing left to explain
};

/// What is to be explained: H = A' Omega [lam 1, Y - 1 v0'] [T, 1 + D] f64 and the targets' energy.
struct WpcTargets {
  at::Tensor h;
  double energy = 0;  ///< sum omega (lam^2 + ||Y - v0||^2), or its estimate from G
  double total = 1;   ///< sum omega: what energies are divided by
};
/// From G and V alone; `total` = 1' G 1 where the rows of the features sum to 1.
WpcTargets wpc_targets(const Gram& gram, const at::Tensor& values, double lam_rel);
/// From rows of features over some of the slots: a [n, P] f32 (rows need not sum to 1),
/// outputs [n, D] f32 of all slots, weights [n] f32 or undefined.
WpcTargets wpc_targets(const at::Tensor& a, const at::Tensor& outputs, const at::Tensor& weights,
                       double lam_rel);

/// lam = max(lam_rel * sqrt(power), 1e-3 * norm0), 1 if zero: power the variance of the outputs,
/// norm0 the norm of their mean.
double wpc_mass_weight(double power, double norm0, double lam_rel);

WpcOrder wpc(const Gram& gram, const WpcTargets& targets, const WpcOptions& options);
/// The plain loop, one pick at a time: the reference that wpc() must agree with.
WpcOrder wpc_plain(const Gram& gram, const WpcTargets& targets, const WpcOptions& options);

}  // namespace limbeck
