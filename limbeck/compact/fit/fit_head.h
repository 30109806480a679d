/// The fit of one head: biases and values of kept slots, so that queries find the same mass and the
/// same output in them as in all slots (arXiv 2602.16284; docs/methods.md, the fit).
#pragma once

#include "limbeck/compact/fit/features.h"

#include <string>

namespace limbeck {

struct FitOptions {
  /// "exact": NNLS on the Gram, then Levenberg-Marquardt steps on beta. "literal": as published.
  std::string weights = "exact";
  int64_t lm_steps = 3;
  /// Heads that keep more slots take cheaper steps: their many slots leave less to be fitted, and
  /// the cost of exact ones grows with the cube.
  int64_t large = 400;
  /// Heads that keep more slots are fitted in blocks of about so many, block after block and twice
  /// over, which bounds the cost by rows times slots. With weights "exact" and values "local" or
  /// "copy" only; these heads take no Levenberg-Marquardt step.
  int64_t joint = 2048;
  int64_t iterations = 0;            ///< literal: projected gradient steps
  double low = 1e-12, high = 1e300;  ///< literal: bounds of w
  /// Ridge centred on "prior": values interpolated by Nystrom weights, or "local": the mean output
  /// of the queries that read the slot (far cheaper). "ls": as published. "copy": untouched.
  std::string values = "prior";
  double rho = 0;  ///< ridge of "prior"; 0 = the best of 1e-3, 1e-2, 1e-1 on held-out rows
};

/// Numerical rescues, by kind.
struct FitFallbacks {
  int64_t ridge = 0;  ///< a factor that needed a larger ridge, each time it grew
  int64_t eigen = 0;  ///< and still failed: the eigenvectors above a cutoff
  int64_t prior = 0;  ///< values that were not finite, not plausible or not to be had
  int64_t bias = 0;   ///< biases that were not finite: 0 instead
  int64_t total() const { return ridge + eigen + prior + bias; }
  FitFallbacks& operator+=(const FitFallbacks& other);
};

struct FitResult {
  at::Tensor bias;          ///< [t] f32, old bias included
  at::Tensor values;        ///< [t, D] f32
  double output_error = 0;  ///< rms ||y - y'|| / rms ||y|| on the reporting rows, else the fitted
  double mass_error = 0;    ///< rms of log m' - log m there
  bool held_out = false;    ///< whether there were reporting rows
  FitFallbacks fallbacks;
};

/// `kept` [t]: ascending slot numbers, 1 <= t <= T. held [n]: 0 = fitted, 1 = decides between
/// variants, 2 = reports; empty = all fitted. Throws InvalidArgument without fitted rows.
FitResult fit_head(const HeadProblem& problem, const std::vector<int32_t>& kept,
                   const std::vector<uint8_t>& held, const FitOptions& options);

}  // namespace limbeck
