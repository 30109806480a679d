/// Products of short rows that are not tensors.
#pragma once

#include <cstdint>

namespace limbeck {

/// a . b of n numbers, in four sums side by side: one alone waits for each of its additions.
inline double dot(const double* a, const double* b, int64_t n) {
  double sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t k = 0; k < 4; ++k) sum[k] += a[i + k] * b[i + k];
  for (; i < n; ++i) sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace limbeck
