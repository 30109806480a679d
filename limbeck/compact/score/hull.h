/// Error curves as marginal gains that never rise: what water-filling ranks.
#pragma once

#include <span>
#include <vector>

namespace limbeck {

/// energy [k + 1], falling, energy[i] after i picks. Returns k gains: the steps of the curve's
/// lower convex hull, which never rise (docs/methods.md).
std::vector<double> hull_gains(std::span<const double> energy);

}  // namespace limbeck
