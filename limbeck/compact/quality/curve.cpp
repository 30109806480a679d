#include "limbeck/compact/quality/curve.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace limbeck {
namespace {

constexpr double kStraight = 1e-4;  ///< |b| below which f is r with a correction of first order

using Point = std::array<double, 2>;  // alpha, beta

double error_of(const Point& p, const QualitySample& s) {
  return quality_at(s.ratio, p[0] * s.nll + p[1]) - s.quality;
}

double loss_of(const Point& p, std::span<const QualitySample> samples, double broken) {
  double sum = 0;
  for (const QualitySample& s : samples) {
    const double e = error_of(p, s);
    sum += (e > 0 ? broken : 1.0) * e * e;
  }
  return sum;
}

/// Nelder-Mead with the usual coefficients, restarted until a restart brings nothing.
template <class F>
Point minimise(const F& loss, Point start) {
  double last = INFINITY;
  for (int restart = 0; restart < 20; ++restart) {
    std::vector<std::pair<double, Point>> simplex;
    const double step = restart == 0 ? 0.2 : 0.01;
    for (const Point& p :
         {start, Point{start[0] + step, start[1]}, Point{start[0], start[1] - 5 * step}})
      simplex.emplace_back(loss(p), p);
    for (int i = 0; i < 400; ++i) {
      std::sort(simplex.begin(), simplex.end());
      const Point worst = simplex[2].second;
      const Point mid = {(simplex[0].second[0] + simplex[1].second[0]) / 2,
                         (simplex[0].second[1] + simplex[1].second[1]) / 2};
      const auto along = [&](double t) {
        const Point p = {mid[0] + t * (mid[0] - worst[0]), mid[1] + t * (mid[1] - worst[1])};
        return std::pair{loss(p), p};
      };
      const auto reflected = along(1.0);
      if (reflected.first < simplex[0].first) {
        simplex[2] = std::min(reflected, along(2.0));
      } else if (reflected.first < simplex[1].first) {
        simplex[2] = reflected;
      } else {
        const auto inner = along(reflected.first < simplex[2].first ? 0.5 : -0.5);
        if (inner.first < std::min(reflected.first, simplex[2].first)) {
          simplex[2] = inner;
        } else {
          for (int k : {1, 2}) {
            for (int d : {0, 1})
              simplex[k].second[d] = (simplex[k].second[d] + simplex[0].second[d]) / 2;
            simplex[k].first = loss(simplex[k].second);
          }
        }
      }
    }
    std::sort(simplex.begin(), simplex.end());
    start = simplex[0].second;
    if (!(simplex[0].first < last)) break;
    last = simplex[0].first;
  }
  return start;
}

}  // namespace

double quality_at(double r, double b) {
  if (std::abs(b) < kStraight) return r + r * (r - 1) * b / 2;
  if (b > 30) return (std::exp((r - 1) * b) - std::exp(-b)) / (1 - std::exp(-b));
  return std::expm1(r * b) / std::expm1(b);
}

double ratio_for(double q, double b) {
  double r = 0;
  if (std::abs(b) < kStraight)
    r = q + q * (1 - q) * b / 2;
  else if (b < 0)
    r = std::log1p(q * std::expm1(b)) / b;
  else
    r = 1 + std::log(q + (1 - q) * std::exp(-b)) / b;
  return std::clamp(r, 0.0, 1.0);
}

QualityFit fit_quality(std::span<const QualitySample> samples, double broken) {
  if (samples.size() < 2)
    throw InvalidArgument("[quality] a fit needs at least 2 samples; found {}", samples.size());
  for (const QualitySample& s : samples)
    if (!std::isfinite(s.nll) || s.nll < 0 || !(s.ratio > 0 && s.ratio <= 1) ||
        !std::isfinite(s.quality))
      throw InvalidArgument(
          "[quality] a sample has a loss of at least 0 and a ratio in (0, 1]; found loss {}, ratio "
          "{}, quality {}",
          s.nll, s.ratio, s.quality);
  const auto loss = [&](const Point& p) { return loss_of(p, samples, broken); };
  std::vector<std::pair<double, Point>> grid;
  for (int a = 0; a <= 16; ++a)
    for (int b = 0; b <= 25; ++b) {
      const Point p = {0.25 * a, -1.0 * b};
      grid.emplace_back(loss(p), p);
    }
  std::sort(grid.begin(), grid.end());
  Point best = grid[0].second;
  double least = INFINITY;
  for (size_t i = 0; i < 3; ++i) {
    const Point p = minimise(loss, grid[i].second);
    if (const double l = loss(p); l < least) {
      least = l;
      best = p;
    }
  }
  if (best[0] <= 0)
    throw NumericalError(
        "[quality] the loss of these texts says nothing about the quality they keep (alpha {:.4g}, "
        "must be above 0); use more and more varied texts",
        best[0]);
  QualityFit out{{best[0], best[1]}, least, 0, 0, 0};
  std::vector<double> errors;
  for (const QualitySample& s : samples) errors.push_back(error_of(best, s));
  std::sort(errors.begin(), errors.end());
  const auto quantile = [&](double q) {
    return errors[static_cast<size_t>(std::ceil(q * static_cast<double>(errors.size()))) - 1];
  };
  out.error_50 = quantile(0.5);
  out.error_90 = quantile(0.9);
  out.error_95 = quantile(0.95);
  return out;
}

}  // namespace limbeck
