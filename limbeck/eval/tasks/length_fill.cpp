#include "limbeck/eval/tasks/length_fill.h"

#include "limbeck/base/error.h"

#include <algorithm>

namespace limbeck {
namespace {

/// Steps above the first size that the cap allows.
int64_t most_steps(const FillSteps& steps) {
  LIMBECK_CHECK(steps.first >= 1 && steps.step >= 1 && steps.cap >= steps.first,
                "steps of {} from {} to {}", steps.step, steps.first, steps.cap);
  return (steps.cap - steps.first) / steps.step;
}

}  // namespace

std::optional<int64_t> largest_fitting(const FillSteps& steps, int64_t max,
                                       const LengthOf& length_of) {
  const int64_t most = most_steps(steps);
  const auto size = [&](int64_t k) { return steps.first + k * steps.step; };
  const auto fits = [&](int64_t k) {
    const auto length = length_of(size(k));
    return length && *length <= max;
  };
  if (!fits(0)) return {};
  int64_t low = 0, high = most + 1;  // low fits, high does not
  for (int64_t k = std::min<int64_t>(1, most); k > low; k = k > most / 2 ? most : 2 * k) {
    if (!fits(k)) {
      high = k;
      break;
    }
    low = k;
  }
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return size(low);
}

std::optional<int64_t> fit_sample(const FillSteps& steps, int64_t max, int64_t x,
                                  int64_t step_tokens, const LengthOf& length_of) {
  const int64_t most = most_steps(steps);
  const auto size = [&](int64_t k) { return steps.first + k * steps.step; };
  int64_t low = (x - steps.first) / steps.step, high = most + 1;
  std::optional<int64_t> length;
  for (; low >= 0; --low) {
    length = length_of(size(low));
    if (length && *length <= max) break;
    high = low;
  }
  if (low < 0) return {};
  const int64_t stride = std::max<int64_t>(step_tokens, 1);
  bool missed = false;  // the last guess: lengths do not grow as the probe's did
  while (*length < max - 2 * stride && high - low > 1) {
    const int64_t k =
        missed ? low + (high - low) / 2 : std::min(low + (max - *length) / stride, high - 1);
    const auto longer = length_of(size(k));
    missed = !longer || *longer > max;
    if (!missed) {
      low = k;
      length = longer;
    } else {
      high = k;
    }
  }
  return size(low);
}

}  // namespace limbeck
