/// Wall-clock time of stages.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace limbeck {

/// Seconds since construction or the last restart.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// Returns the seconds so far and starts again.
  double restart() {
    const double s = seconds();
    start_ = Clock::now();
    return s;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Named seconds in the order in which the stages ran.
using StageSeconds = std::vector<std::pair<std::string, double>>;

}  // namespace limbeck
