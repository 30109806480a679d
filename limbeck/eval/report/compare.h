/// Two runs against each other: `limbeck report A B`.
///
/// Differences are paired: they use the questions that both runs have, so that easy and hard
/// documents cancel out. Non-goals: deciding whether a change is good (the caller's exit status).
#pragma once

#include "limbeck/eval/report/tables.h"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct ComparedCell {
  CellKey key;
  std::string group;
  double a = 0, b = 0;                   ///< scores on the common questions
  double difference = 0;                 ///< b - a
  ScoreInterval ci;                      ///< 95 %, over documents
  int64_t documents = 0, questions = 0;  ///< common ones
  double kv_bytes_a = 0, kv_bytes_b = 0;
  double seconds_a = 0, seconds_b = 0;  ///< median compaction
  /// The interval excludes 0, and there are enough documents for that to mean something.
  bool significant = false;
};

struct RunComparison {
  std::vector<ComparedCell> cells;      ///< in B's order
  std::vector<CellKey> only_a, only_b;  ///< whole cells
  std::vector<CellKey> without_common;  ///< in both, but with no common question
  int64_t better = 0, worse = 0;        ///< cells that changed significantly
  int64_t others = 0;  ///< questions of one number that expect other answers, left out
};

/// Throws InvalidArgument when the rows of either side cannot be of one run.
RunComparison compare_runs(std::span<const SampleRow> a, std::span<const SampleRow> b);

/// One table, of all cells; changed ones bold and marked.
Table comparison_table(const RunComparison& comparison, const std::string& name_a,
                       const std::string& name_b);
std::string comparison_markdown(const RunComparison& comparison, const std::string& name_a,
                                const std::string& name_b);
/// Numbers unrounded; seconds in an object "timing" of each cell.
nlohmann::ordered_json comparison_to_json(const RunComparison& comparison,
                                          const std::string& name_a, const std::string& name_b);

}  // namespace limbeck
