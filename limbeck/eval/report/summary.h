/// Rows of single questions to the numbers of a run: cells, averages over the tasks of a benchmark,
/// critical footprints.
///
/// A score is the mean over documents of the means of their questions: documents share a
/// compaction, so they, not questions, are what is drawn at random. Rows of merged shards give the
/// same bytes as those of one run, apart from the objects called "timing". Non-goals: choosing what
/// to show (markdown, figures), judging a change (compare).
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/report/cells.h"
#include "limbeck/eval/report/intervals.h"
#include "limbeck/eval/report/needles.h"
#include "limbeck/footprint/critical.h"

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck {

struct SummaryOptions {
  double min_full_score = 0.5;
  double phi = 0.9;
  template <class V>
  void for_each_field(V&& v) {
    v("min_full_score", min_full_score, closed(0.0, 1.0),
      "tasks on which the full cache scores less are left out of averages: there is too little to "
      "lose");
    v("phi", phi, open_closed(0.0, 1.0), "part of the full score that a critical footprint keeps");
  }
};

struct ScoreWithInterval {
  double mean = 0;   ///< in [0, 1]
  ScoreInterval ci;  ///< 95 %, over documents
};

/// Against the full cache on the same questions.
struct PairedDifference {
  double mean = 0;  ///< score - full score
  ScoreInterval ci;
  int64_t documents = 0;
};

struct CellTiming {
  Robust compaction;                                    ///< seconds, queries and all stages
  std::vector<std::pair<std::string, Robust>> seconds;  ///< by stage, in order of appearance
  Robust decode_rate;                                   ///< tokens per second
  Robust first_token;                                   ///< seconds from question to first token
  double rss_peak = 0;  ///< resident bytes, the highest of all units; NaN where unknown
};

/// Of one (task, length, mode, method, budget). Means over documents; failed questions score 0 and
/// say nothing about memory or time. NaN where nothing is known.
struct SummaryCell {
  CellKey key;
  std::string group, category;
  ScoreWithInterval score;
  double relative = 0;                        ///< 100 * score / score of the full cache
  std::optional<PairedDifference> from_full;  ///< none for the full cache and where it is missing
  double kept = 0, kept_ratio = 0;
  int64_t kept_min = 0, kept_max = 0;  ///< of all documents
  double kv_bytes = 0, bytes_ratio = 0;
  double footprint = 0, footprint_total = 0, footprint_after = 0, peak = 0, kv_bytes_peak = 0;
  double parse_rate = 0;  ///< share of questions out of whose answer something could be read
  int64_t truncated = 0, failed = 0, questions = 0, documents = 0;
  /// Means of the others; "ppl..." is exp of the mean of "nll...".
  std::map<std::string, double> metrics;
  CellTiming timing;
};

/// Unweighted mean over tasks; NaN unless the cell of every one is there, since means over
/// different tasks do not compare.
struct TasksMean {
  ScoreWithInterval score;
  double relative = 0;
  std::optional<PairedDifference> from_full;
};

/// The mean over the tasks of a group that are not left out.
struct SummaryGroup : TasksMean {
  std::string group;
  int64_t length = 0;
  std::string mode, method;
  double budget = 1.0;
  std::vector<std::string> tasks, missing;
  TasksMean all;  ///< over the left-out tasks too: what benchmarks call their score
  /// Costs are of the tasks that count; of all where none does.
  double kept_ratio = 0, kv_bytes = 0, bytes_ratio = 0, footprint_total = 0;
  double compaction_seconds = 0;  ///< mean of the tasks' medians

  /// What there is to compare methods by: of the tasks that count; of all where none does.
  const TasksMean& judged_or_all() const { return tasks.empty() ? all : *this; }
};

/// Unweighted mean over the tasks of one category of a benchmark, as its authors report it: no task
/// is left out, and none may be missing. NaN otherwise.
struct SummaryCategory {
  std::string group, category;
  int64_t length = 0;
  std::string mode, method;
  double budget = 1.0;
  int64_t tasks = 0;
  double score = 0, relative = 0;  ///< relative: 100 * score / the full cache's
};

struct LeftOutTask {
  std::string group, task, mode;
  int64_t length = 0;
  double full_score = 0;
};

/// Critical footprint of a method on a task: over its budgets (limbeck/footprint/critical.h). The
/// same over the part of the entries that is kept: where a method compacts after the prefill, that
/// makes up most of a footprint, which then says little about the budget.
struct SummaryCritical {
  std::string group, task;
  int64_t length = 0;
  std::string mode, method;
  double full_score = 0;
  std::vector<FootprintPoint> grid;
  CriticalFootprint critical, any;
};

struct Summary {
  SummaryOptions options;
  std::vector<SummaryCell> cells;
  std::vector<SummaryGroup> groups;
  std::vector<SummaryCategory> categories;
  std::vector<LeftOutTask> left_out;
  std::vector<SummaryCritical> critical;  ///< over footprint_total
  std::vector<NeedleGrid> needles;

  const SummaryCell* find(const CellKey& key) const;
};

/// Throws InvalidArgument for options out of range and rows that cannot be of one run.
Summary summarise_samples(std::span<const SampleRow> rows, const SummaryOptions& options = {});

/// Numbers unrounded, NaN as null.
nlohmann::ordered_json summary_to_json(const Summary& summary);
/// Inverse. `what` names the text in errors. Throws FormatError naming the field.
Summary summary_from_json(const nlohmann::json& json, std::string_view what);
/// A copy without the objects called "timing", at every depth: what two runs must agree on.
nlohmann::ordered_json without_timing(const nlohmann::ordered_json& json);

}  // namespace limbeck
