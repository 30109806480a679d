#include "limbeck/footprint/critical.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace limbeck {
namespace {

/// Points by falling footprint, one for each footprint.
std::vector<FootprintPoint> grid(std::span<const FootprintPoint> points, int64_t& dropped) {
  std::vector<FootprintPoint> out;
  for (const FootprintPoint& p : points) {
    if (std::isfinite(p.footprint) && std::isfinite(p.score))
      out.push_back(p);
    else
      ++dropped;
  }
  std::sort(out.begin(), out.end(), [](const FootprintPoint& a, const FootprintPoint& b) {
    return a.footprint != b.footprint ? a.footprint > b.footprint : a.score < b.score;
  });
  const auto same = [](const FootprintPoint& a, const FootprintPoint& b) {
    return a.footprint == b.footprint;
  };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  return out;
}

double threshold(double full_score, double phi) {
  if (!(phi > 0.0 && phi <= 1.0))
    throw InvalidArgument("[footprint] phi must be in (0, 1]; found {}", phi);
  return phi * full_score;
}

bool passes(const FootprintPoint& p, double least) { return p.score >= least - 1e-9; }

/// Where the line between a failing and a passing point crosses the threshold.
CriticalFootprint crossing(const FootprintPoint& fails, const FootprintPoint& passes, double least,
                           int64_t dropped) {
  const double part = (least - fails.score) / (passes.score - fails.score);
  return {CriticalFootprint::Kind::exact,
          fails.footprint + part * (passes.footprint - fails.footprint), dropped};
}

}  // namespace

std::string CriticalFootprint::text() const {
  switch (kind) {
    case Kind::not_available: return "n/a";
    case Kind::exact: return fmt::format("{:.4g}", value);
    case Kind::above: return fmt::format("> {:.4g}", value);
    case Kind::below: return fmt::format("< {:.4g}", value);
  }
  return "n/a";
}

CriticalFootprint critical_footprint(double full_score, std::span<const FootprintPoint> points,
                                     double phi) {
  const double least = threshold(full_score, phi);
  CriticalFootprint out;
  const std::vector<FootprintPoint> g = grid(points, out.dropped);
  if (!std::isfinite(full_score) || full_score <= 0 || g.empty()) return out;
  if (!passes(g.front(), least))
    return {CriticalFootprint::Kind::above, g.front().footprint, out.dropped};
  for (size_t k = 1; k < g.size(); ++k)
    if (!passes(g[k], least)) return crossing(g[k], g[k - 1], least, out.dropped);
  return {CriticalFootprint::Kind::below, g.back().footprint, out.dropped};
}

CriticalFootprint critical_any(double full_score, std::span<const FootprintPoint> points,
                               double phi) {
  const double least = threshold(full_score, phi);
  CriticalFootprint out;
  const std::vector<FootprintPoint> g = grid(points, out.dropped);
  if (!std::isfinite(full_score) || full_score <= 0 || g.empty()) return out;
  for (size_t k = g.size(); k-- > 0;) {
    if (!passes(g[k], least)) continue;
    if (k + 1 == g.size()) return {CriticalFootprint::Kind::below, g[k].footprint, out.dropped};
    return crossing(g[k + 1], g[k], least, out.dropped);
  }
  return {CriticalFootprint::Kind::above, g.front().footprint, out.dropped};
}

}  // namespace limbeck
