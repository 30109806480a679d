/// Needle grids of a run: how well a method finds needles by their depth and the text's length.
#pragma once

#include "limbeck/eval/report/sample_row.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Benchmark whose rows have a metric "depth", in % of the document.
inline constexpr std::string_view kNeedleGridTask = "needle_grid";

/// Of one task, mode, method and budget.
struct NeedleGrid {
  std::string task, mode, method;
  double budget = 1.0;
  std::vector<double> depths;               ///< %, rising; those of all grids of the run
  std::vector<int64_t> lengths;             ///< tokens, rising; likewise
  std::vector<std::vector<double>> scores;  ///< [depths][lengths] in [0, 1]; NaN = not measured
  double mean = 0;                          ///< of the measured cells
  /// The lowest of them, the first in order of depth and then length.
  double worst = 0, worst_depth = 0;
  int64_t worst_length = 0;
};

/// By task and mode, then the full cache, methods by name and falling budget, floors.
std::vector<NeedleGrid> needle_grids(std::span<const SampleRow> rows);

}  // namespace limbeck
