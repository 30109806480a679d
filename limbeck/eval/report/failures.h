/// Examples of what went wrong, for people to read.
#pragma once

#include "limbeck/eval/report/sample_row.h"

#include <span>
#include <vector>

namespace limbeck {

struct Failure {
  const SampleRow* row = nullptr;
  const SampleRow* full = nullptr;  ///< the full cache's answer to the same question, if any
};

/// At most `most`: questions that ended in an error, then answers of compacted caches that score at
/// least half less than the full cache's. Tasks take turns, within a task its methods, and of a
/// method its budgets. The floors' failures are left out: they are expected.
std::vector<Failure> sample_failures(std::span<const SampleRow> rows, size_t most);

}  // namespace limbeck
