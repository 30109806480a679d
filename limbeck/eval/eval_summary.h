/// Rows of single contexts to numbers of methods: means with standard errors, medians of seconds.
#pragma once

#include "limbeck/eval/eval_row.h"
#include "limbeck/footprint/critical.h"

#include <set>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct MeanWithError {
  double mean = 0;
  double error = 0;  ///< standard error over contexts; NaN for a single one
};

/// Of one (length, method, ratio).
struct EvalSummary {
  int64_t length = 0;
  std::string method;
  double ratio = 1.0;
  int64_t contexts = 0;
  double kept = 1.0;                          ///< mean achieved ratio
  MeanWithError kl_answers, kl_continuation;  ///< nats per token
  MeanWithError needles;                      ///< share of right answers
  double top1_answers = 0, top1_continuation = 0;
  /// exp of the mean change of the negative log-likelihood, on the continuation.
  double perplexity_ratio = 1.0;
  double bytes = 0, span_bytes = 0;  ///< means
  /// Means; NaN when a record of an earlier version is among the rows, footprint_after also when
  /// nothing was compacted.
  double footprint = 0, footprint_total = 0, footprint_after = 0, peak = 0;
  double bytes_peak = 0;
  std::set<std::string> engines;  ///< versions that measured the rows; "" = not known
  double compaction_seconds = 0;  ///< median
  StageSeconds seconds;           ///< medians: shared stages, then the method's own
};

/// In order of first appearance.
std::vector<EvalSummary> summarise_rows(std::span<const EvalRow> rows);

/// The critical footprint of one method at one length: over its ratios, needle accuracy against the
/// full cache's (footprint/critical.h).
struct EvalCritical {
  int64_t length = 0;
  std::string method;
  CriticalFootprint critical;
  std::vector<FootprintPoint> grid;
};
/// Of every method but the bounds, in order of appearance.
std::vector<EvalCritical> critical_footprints(std::span<const EvalSummary> summaries,
                                              double phi = 0.9);
nlohmann::ordered_json critical_to_json(const EvalCritical& critical, double phi = 0.9);

/// One Markdown table for each length, and a note when several versions measured the rows.
std::string summary_markdown(std::span<const EvalSummary> summaries);
nlohmann::ordered_json summary_to_json(const EvalSummary& summary);

}  // namespace limbeck
