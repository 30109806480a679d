/// A grid of numbers as colours.
#pragma once

#include <string>
#include <vector>

namespace limbeck {

struct HeatMap {
  std::string label, x_title, y_title;
  std::vector<std::string> columns, rows;   ///< their names
  std::vector<std::vector<double>> values;  ///< [row][column], NaN where nothing was measured
  double low = 0, high = 1;                 ///< values of the scale's ends
  int digits = 0;                           ///< decimals of the numbers
  bool logarithmic = false;  ///< equal ratios are equal steps of colour; `low` must be above 0
};

/// Up to so many columns and rows, cells show their number; beyond, only under the pointer.
inline constexpr size_t kNumberedCells = 20;

/// Throws InvalidArgument when the values are not of the shape of the names.
std::string heat_map_svg(const HeatMap& map);

}  // namespace limbeck
