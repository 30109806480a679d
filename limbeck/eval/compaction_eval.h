/// Measures compaction methods on texts with hidden needles: how far each moves the predictions
/// from those of the full cache, at which size and price.
///
/// For every context the text is read once and its reference queries are captured once; all methods
/// and ratios work from the same cache. The question comes after compaction, always. Rows "full"
/// (nothing compacted) and "none" (the text taken away, positions kept) bound every table. Same
/// settings, same numbers, times apart. Non-goals: benchmarks by name, several processes.
#pragma once

#include "limbeck/eval/eval_row.h"
#include "limbeck/eval/eval_summary.h"
#include "limbeck/eval/method_entry.h"
#include "limbeck/eval/needle_context.h"

#include <filesystem>
#include <vector>

namespace limbeck {

struct EvalPlan {
  std::vector<SourceText> texts;
  std::vector<MethodEntry> methods;  ///< head tables read into the options
  std::vector<double> ratios;        ///< in (0, 1]
  std::vector<int64_t> lengths;      ///< tokens of the span
  int64_t contexts = 20;             ///< for each length
  NeedleOptions needles;
  /// Record to go on with or to begin (eval_log.h); empty = none. A later run may ask for more
  /// methods, ratios, lengths and contexts.
  std::filesystem::path log;
  /// Written into the rows, so that a record that several versions went on with says so.
  std::string engine;
  ProgressFn progress;  ///< stage "eval", unit "runs"
};

struct EvalResult {
  std::vector<EvalRow> rows;  ///< what the plan asks for, in its order: by length and context
  std::vector<EvalSummary> summary;
};

/// What rows depend on besides their key: model, texts, needles, threads.
nlohmann::ordered_json eval_settings(const LanguageModel& lm, const EvalPlan& plan);

/// Throws InvalidArgument for an impossible plan before any work, what eval_log.h throws for the
/// log, and what compact() throws for a method's options. Rows that are in the log stay there.
EvalResult evaluate_compaction(const LanguageModel& lm, const EvalPlan& plan);

}  // namespace limbeck
