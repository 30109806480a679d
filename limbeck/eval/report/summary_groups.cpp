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
    for (const SummaryCell& other : summary.cells)
      if (same_table(g, other.group, other.key) && !is_left_out(summary, other.key) &&
          std::find(g.tasks.begin(), g.tasks.end(), other.key.task) == g.tasks.end())
        g.tasks.push_back(other.key.task);
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

void fill(SummaryGroup& g, std::span<const CellRows> rows, const Summary& summary) {
  std::vector<const SummaryCell*> cells;
  std::vector<std::vector<double>> scores, differences;
  double full_sum = 0, score_sum = 0;
  for (const std::string& task : g.tasks) {
    const CellKey key{task, g.length, g.mode, g.method, g.budget};
    const SummaryCell* cell = summary.find(key);
    if (cell == nullptr) {
      g.missing.push_back(task);
      continue;
    }
    cells.push_back(cell);
    const CellRows& of_cell = rows[static_cast<size_t>(cell - summary.cells.data())];
    scores.push_back(document_scores(of_cell));
    const CellRows* full = full_of(rows, key);
    if (full == nullptr) continue;
    const PairedScores pairs = paired_scores(*full, of_cell);
    differences.push_back(pairs.differences());
    full_sum += mean_of(pairs.first);
    score_sum += mean_of(pairs.second);
  }
  const bool judged = !g.tasks.empty(), whole = g.missing.empty() && judged;
  if (!judged)
    for (const SummaryCell& c : summary.cells)
      if (same_table(g, c.group, c.key) && c.key.method == g.method && c.key.budget == g.budget)
        cells.push_back(&c);
  const std::string seed =
      fmt::format("group {}|{}|{}|{}|{}", g.group, g.length, g.mode, g.method, g.budget);
  const auto mean = [&](auto value) { return whole ? mean_over(cells, value) : kNan; };
  g.score.mean = mean([](const SummaryCell& c) { return c.score.mean; });
  g.score.ci = whole ? bootstrap_scores(scores, seed) : ScoreInterval{kNan, kNan};
  const auto cost = [&](auto value) { return g.missing.empty() ? mean_over(cells, value) : kNan; };
  g.kept_ratio = cost([](const SummaryCell& c) { return c.kept_ratio; });
  g.kv_bytes = cost([](const SummaryCell& c) { return c.kv_bytes; });
  g.bytes_ratio = cost([](const SummaryCell& c) { return c.bytes_ratio; });
  g.footprint_total = cost([](const SummaryCell& c) { return c.footprint_total; });
  g.compaction_seconds = cost([](const SummaryCell& c) { return c.timing.compaction.median; });
  const bool compared = whole && differences.size() == g.tasks.size();
  g.relative = compared && full_sum > 0 ? 100 * score_sum / full_sum : kNan;
  if (!compared || g.method == kFullLabel) return;
  PairedDifference d;
  for (const auto& of_task : differences) {
    d.mean += mean_of(of_task) / static_cast<double>(differences.size());
    d.documents += static_cast<int64_t>(of_task.size());
  }
  d.ci = bootstrap_scores(differences, seed + "|difference");
  g.from_full = d;
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

std::vector<SummaryCritical> critical_footprints(std::span<const SummaryCell> cells, double phi) {
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
    known->grid.push_back({c.footprint_total, c.score.mean});
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

}  // namespace limbeck
