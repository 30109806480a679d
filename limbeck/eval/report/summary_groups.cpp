#include "limbeck/eval/report/summary_groups.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool is_left_out(const Summary& summary, const CellKey& key) {
  return std::any_of(summary.left_out.begin(), summary.left_out.end(), [&](const LeftOutTask& t) {
    return t.task == key.task && t.length == key.length && t.mode == key.mode;
  });
}

bool same_table(const SummaryGroup& g, const std::string& group, const CellKey& key) {
  return g.group == group && g.length == key.length && g.mode == key.mode;
}

/// The tasks of a group's table in the cells' order, with or without those left out.
std::vector<std::string> tasks_of(const Summary& summary, const SummaryGroup& g, bool left_out) {
  std::vector<std::string> out;
  for (const SummaryCell& c : summary.cells)
    if (same_table(g, c.group, c.key) && (left_out || !is_left_out(summary, c.key)) &&
        std::find(out.begin(), out.end(), c.key.task) == out.end())
      out.push_back(c.key.task);
  return out;
}

/// One empty entry for each method and budget; with the group's tasks that count.
std::vector<SummaryGroup> outlines(const Summary& summary) {
  std::vector<SummaryGroup> out;
  for (const SummaryCell& c : summary.cells) {
    const bool known = std::any_of(out.begin(), out.end(), [&](const SummaryGroup& g) {
      return same_table(g, c.group, c.key) && g.method == c.key.method && g.budget == c.key.budget;
    });
    if (known) continue;
    SummaryGroup g;
    g.group = c.group;
    g.length = c.key.length;
    g.mode = c.key.mode;
    g.method = c.key.method;
    g.budget = c.key.budget;
    g.tasks = tasks_of(summary, g, false);
    out.push_back(std::move(g));
  }
  return out;
}

double mean_over(const std::vector<const SummaryCell*>& cells,
                 double (*value)(const SummaryCell&)) {
  std::vector<double> values;
  for (const SummaryCell* c : cells) values.push_back(value(*c));
  return mean_of(values);  // NaN when one is
}

/// Cells of a method and budget, by task; null where there is none.
std::vector<const SummaryCell*> cells_of(const Summary& summary, const SummaryGroup& g,
                                         const std::vector<std::string>& tasks) {
  std::vector<const SummaryCell*> out;
  for (const std::string& task : tasks)
    out.push_back(summary.find({task, g.length, g.mode, g.method, g.budget}));
  return out;
}

/// `seed` of the intervals.
TasksMean mean_of_tasks(const std::vector<const SummaryCell*>& cells,
                        std::span<const CellRows> rows, const Summary& summary,
                        const std::string& seed) {
  TasksMean out;
  out.score = {kNan, {kNan, kNan}};
  out.relative = kNan;
  if (cells.empty() || std::find(cells.begin(), cells.end(), nullptr) != cells.end()) return out;
  if (cells.size() == 1) return {cells[0]->score, cells[0]->relative, cells[0]->from_full};
  std::vector<std::vector<double>> scores, differences;
  double full_sum = 0, score_sum = 0;
  for (const SummaryCell* cell : cells) {
    const CellRows& of_cell = rows[static_cast<size_t>(cell - summary.cells.data())];
    scores.push_back(document_scores(of_cell));
    const CellRows* full = full_of(rows, cell->key);
    if (full == nullptr) continue;
    const PairedScores pairs = paired_scores(*full, of_cell);
    differences.push_back(pairs.differences());
    full_sum += mean_of(pairs.first);
    score_sum += mean_of(pairs.second);
  }
  out.score.mean = mean_over(cells, [](const SummaryCell& c) { return c.score.mean; });
  out.score.ci = bootstrap_scores(scores, seed);
  if (differences.size() != cells.size()) return out;
  if (full_sum > 0) out.relative = 100 * score_sum / full_sum;
  if (cells[0]->key.method == kFullLabel) return out;
  PairedDifference d;
  for (const auto& of_task : differences) {
    d.mean += mean_of(of_task) / static_cast<double>(differences.size());
    d.documents += static_cast<int64_t>(of_task.size());
  }
  d.ci = bootstrap_scores(differences, seed + "|difference");
  out.from_full = d;
  return out;
}

void fill(SummaryGroup& g, std::span<const CellRows> rows, const Summary& summary) {
  const std::vector<std::string> every = tasks_of(summary, g, true);
  const auto judged = cells_of(summary, g, g.tasks), all = cells_of(summary, g, every);
  for (size_t i = 0; i < judged.size(); ++i)
    if (judged[i] == nullptr) g.missing.push_back(g.tasks[i]);
  const std::string name =
      fmt::format("{}|{}|{}|{}|{}", g.group, g.length, g.mode, g.method, g.budget);
  static_cast<TasksMean&>(g) = mean_of_tasks(judged, rows, summary, "group " + name);
  g.all = judged.size() == all.size() ? g : mean_of_tasks(all, rows, summary, "all of " + name);
  const auto& paid = judged.empty() ? all : judged;
  const bool whole = std::find(paid.begin(), paid.end(), nullptr) == paid.end();
  const auto cost = [&](auto value) { return whole ? mean_over(paid, value) : kNan; };
  g.kept_ratio = cost([](const SummaryCell& c) { return c.kept_ratio; });
  g.kv_bytes = cost([](const SummaryCell& c) { return c.kv_bytes; });
  g.bytes_ratio = cost([](const SummaryCell& c) { return c.bytes_ratio; });
  g.footprint_total = cost([](const SummaryCell& c) { return c.footprint_total; });
  g.compaction_seconds = cost([](const SummaryCell& c) { return c.timing.compaction.median; });
}

}  // namespace

std::vector<LeftOutTask> left_out_tasks(std::span<const SummaryCell> cells,
                                        const SummaryOptions& options) {
  std::vector<LeftOutTask> out;
  for (const SummaryCell& c : cells)
    if (c.key.method == kFullLabel && c.score.mean < options.min_full_score)
      out.push_back({c.group, c.key.task, c.key.mode, c.key.length, c.score.mean});
  return out;
}

std::vector<SummaryGroup> group_averages(std::span<const CellRows> rows, const Summary& summary) {
  std::vector<SummaryGroup> out = outlines(summary);
  for (SummaryGroup& g : out) fill(g, rows, summary);
  return out;
}

std::vector<SummaryCategory> category_means(std::span<const SummaryCell> cells) {
  std::vector<SummaryCategory> out;
  const auto same = [](const SummaryCategory& s, const SummaryCell& c) {
    return s.group == c.group && s.category == c.category && s.length == c.key.length &&
           s.mode == c.key.mode;
  };
  for (const SummaryCell& c : cells) {
    const bool known = std::any_of(out.begin(), out.end(), [&](const SummaryCategory& s) {
      return same(s, c) && s.method == c.key.method && s.budget == c.key.budget;
    });
    if (known || c.category.empty()) continue;
    SummaryCategory s{c.group,      c.category, c.key.length, c.key.mode, c.key.method,
                      c.key.budget, 0,          kNan,         kNan};
    std::set<std::string> tasks;
    double sum = 0, full = 0;
    int64_t found = 0, with_full = 0;
    for (const SummaryCell& other : cells) {
      if (!same(s, other)) continue;
      tasks.insert(other.key.task);
      if (other.key.method == kFullLabel) {
        full += other.score.mean;
        ++with_full;
      }
      if (other.key.method != s.method || other.key.budget != s.budget) continue;
      sum += other.score.mean;
      ++found;
    }
    s.tasks = static_cast<int64_t>(tasks.size());
    if (found == s.tasks) s.score = sum / static_cast<double>(found);
    if (found == s.tasks && with_full == s.tasks && full > 0) s.relative = 100 * sum / full;
    out.push_back(std::move(s));
  }
  return out;
}

std::vector<SummaryCritical> critical_values(std::span<const SummaryCell> cells,
                                             double SummaryCell::*what, double phi) {
  std::vector<SummaryCritical> out;
  for (const SummaryCell& c : cells) {
    if (c.key.method == kFullLabel || c.key.method == kNoneLabel) continue;
    auto known = std::find_if(out.begin(), out.end(), [&](const SummaryCritical& s) {
      return s.task == c.key.task && s.length == c.key.length && s.mode == c.key.mode &&
             s.method == c.key.method;
    });
    if (known == out.end())
      known = out.insert(
          out.end(),
          {c.group, c.key.task, c.key.length, c.key.mode, c.key.method, kNan, {}, {}, {}});
    known->grid.push_back({c.*what, c.score.mean});
  }
  for (SummaryCritical& s : out) {
    for (const SummaryCell& c : cells)
      if (c.key.method == kFullLabel && c.key.task == s.task && c.key.length == s.length &&
          c.key.mode == s.mode)
        s.full_score = c.score.mean;
    s.critical = critical_footprint(s.full_score, s.grid, phi);
    s.any = critical_any(s.full_score, s.grid, phi);
  }
  return out;
}

std::vector<SummaryCritical> critical_kept(const Summary& summary) {
  return critical_values(summary.cells, &SummaryCell::kept_ratio, summary.options.phi);
}

}  // namespace limbeck
