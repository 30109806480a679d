/// How much quality a method keeps at a ratio, given how hard a text is to predict (arXiv
/// 2507.08143; equations as in docs/methods.md, "A quality instead of a ratio").
///
/// b = alpha NLL(text) + beta, f(r) = (e^{r b} - 1) / (e^b - 1): f(0) = 0, f(1) = 1. The more
/// negative b is, the sooner little is enough.
#pragma once

#include <span>

namespace limbeck {

/// f(r) for r in [0, 1].
double quality_at(double ratio, double b);
/// The smallest r with f(r) >= quality; quality in (0, 1).
double ratio_for(double quality, double b);

struct QualityCurve {
  double alpha = 0, beta = 0;
  double b(double nll) const { return alpha * nll + beta; }
};

/// One measurement: quality y in (0, 1] of a text of mean token loss `nll` (nats) at `ratio`.
struct QualitySample {
  double nll = 0, ratio = 0, quality = 0;
};

struct QualityFit {
  QualityCurve curve;
  double loss = 0;                                  ///< sum of weighted squared errors e = f - y
  double error_50 = 0, error_90 = 0, error_95 = 0;  ///< quantiles of e
};

/// Least squares where a promise that is not kept (e > 0) counts `broken` times as much as a
/// margin: Nelder-Mead from a grid. Throws InvalidArgument for fewer than two samples or values out
/// of range, NumericalError when the best alpha is not above 0 (then NLL says nothing here).
QualityFit fit_quality(std::span<const QualitySample> samples, double broken = 4.0);

}  // namespace limbeck
