/// Robust statistics of repeated timings, shared by the benchmark programs.
///
/// Medians and median absolute deviations, never means: other guests of a machine only ever add
/// time.
#pragma once

#include "limbeck/base/timing.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace limbeck::bench {

/// Seconds of one piece of work.
struct Timing {
  double median = 0, mad = 0, best = 0;
  int64_t samples = 0;
};

/// Upper median of at least one number.
inline double median_of(std::vector<double> x) {
  const auto middle = x.begin() + static_cast<ptrdiff_t>(x.size() / 2);
  std::nth_element(x.begin(), middle, x.end());
  return *middle;
}

/// Statistics of at least one sample.
inline Timing timing_of(std::vector<double> seconds) {
  Timing t{median_of(seconds), 0, *std::min_element(seconds.begin(), seconds.end()),
           static_cast<int64_t>(seconds.size())};
  for (double& s : seconds) s = std::abs(s - t.median);
  t.mad = median_of(std::move(seconds));
  return t;
}

/// Times `work` `runs` times after one warm-up.
template <class Work>
Timing time_of(int runs, const Work& work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    Stopwatch watch;
    work();
    seconds.push_back(watch.seconds());
  }
  return timing_of(std::move(seconds));
}

}  // namespace limbeck::bench
