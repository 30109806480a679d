/// Tables of a run before anybody decides whether they become Markdown or HTML.
///
/// Goals: both forms show the same numbers, rounded the same way. Non-goals: all columns of a cell
/// (summary.json has them).
#pragma once

#include "limbeck/eval/report/summary.h"

#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct TableCell {
  std::string text;  ///< not escaped
  bool bold = false;
  std::string hint = {};  ///< shown under the pointer, where there is one
};

struct Table {
  std::string title;
  std::vector<std::string> columns;
  size_t text_columns = 1;  ///< so many from the left are texts, the others numbers
  std::vector<std::vector<TableCell>> rows;
  std::vector<std::string> notes;  ///< sentences below the table
};

/// Which rows a table or figure shows: one benchmark at one length in one mode.
struct GroupKey {
  std::string group;
  int64_t length = 0;
  std::string mode;
  auto operator<=>(const GroupKey&) const = default;
  bool holds(const SummaryCell& c) const;
  bool holds(const SummaryGroup& g) const;
  /// "ruler, 4096 tokens", with the label of a mode that is not the usual one.
  std::string title() const;
};
/// In order of appearance.
std::vector<GroupKey> group_keys(const Summary& summary);

/// Rows of a group as people read them: the full cache, methods by falling budget, floors.
std::vector<const SummaryGroup*> group_rows(const Summary& summary, const GroupKey& key);

bool is_bound(std::string_view method);  ///< the full cache, or no document
/// What every method must beat: no document, random eviction, sinks + recent window. The latter two
/// are known by their labels "random" and "streaming".
bool is_floor(std::string_view method);
/// "full cache", "no document", "random eviction", "sinks + recent window", else the label.
std::string method_title(std::string_view method);

/// Score of every task, mean, difference from the full cache, kept share, MiB, seconds. The best of
/// the methods at one budget is bold only if its interval excludes the next one's score.
Table group_table(const Summary& summary, const GroupKey& key);
/// 95 % intervals of the single tasks' scores, rows as in group_table; no rows for a single task,
/// whose mean has its interval already.
Table interval_table(const Summary& summary, const GroupKey& key);
/// Critical footprints in % of the full cache's, methods by tasks. Censored ones keep their sign
/// and are counted, never averaged.
Table critical_table(const Summary& summary, const GroupKey& key);
/// The same over the part of the entries that is kept.
Table critical_kept_table(const Summary& summary, const GroupKey& key);

/// Means of the categories of a benchmark (LongBench); no rows where there are none.
Table category_table(const Summary& summary, const GroupKey& key);
/// Perplexities and divergences of every task that has them (lm).
std::vector<Table> lm_tables(const Summary& summary, const GroupKey& key);
/// What tasks measure besides their score (accuracy on a part, another metric), a line each, and
/// how far answers moved from the full cache's.
Table other_scores_table(const Summary& summary, const GroupKey& key);
/// Mean and worst cell of every needle grid of the run, of all lengths.
Table needle_table(std::span<const NeedleGrid> grids);
/// What every row of the scores cost, and what of its answers could be used.
Table cost_table(const Summary& summary, const GroupKey& key);
/// The tables behind the scores of a group, empty ones left out: intervals, language-model metrics,
/// categories, other scores, critical kept parts and footprints, costs.
std::vector<Table> detail_tables(const Summary& summary, const GroupKey& key);

/// Numbers as tables show them; "-" for NaN.
std::string percent_text(double fraction);  ///< "91.3"
std::string percent_text(double fraction, const ScoreInterval& ci);
std::string signed_percent_text(double fraction,
                                const ScoreInterval& ci);  ///< "-3.2 (-5.0 to -1.1)"
std::string mib_text(double bytes);
std::string three_digits(double x);       ///< three significant digits, without exponent
std::string budget_text(double ratio);    ///< "25 %"
std::string length_text(int64_t tokens);  ///< "4K" for whole multiples of 1024

}  // namespace limbeck
