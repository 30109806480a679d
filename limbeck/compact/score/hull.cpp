#include "limbeck/compact/score/hull.h"

#include <cstddef>

namespace limbeck {

std::vector<double> hull_gains(std::span<const double> energy) {
  if (energy.size() < 2) return {};
  std::vector<size_t> corners;
  const auto slope = [&](size_t a, size_t b) {
    return (energy[b] - energy[a]) / static_cast<double>(b - a);
  };
  for (size_t i = 0; i < energy.size(); ++i) {
    while (corners.size() >= 2 &&
           slope(corners[corners.size() - 2], corners.back()) >= slope(corners.back(), i))
      corners.pop_back();
    corners.push_back(i);
  }
  std::vector<double> gains;
  for (size_t c = 0; c + 1 < corners.size(); ++c)
    gains.insert(gains.end(), corners[c + 1] - corners[c], -slope(corners[c], corners[c + 1]));
  return gains;
}

}  // namespace limbeck
