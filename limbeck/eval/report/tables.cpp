#include "limbeck/eval/report/tables.h"
#include "limbeck/eval/report/summary_groups.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace limbeck {
namespace {

struct Floor {
  std::string_view label, title;
};
constexpr Floor kFloors[] = {{kNoneLabel, "no document"},
                             {kFloorMethods[0], "random eviction"},
                             {kFloorMethods[1], "sinks + recent window"}};

/// A median of fewer is as good as its first value, which pays for the start of the process.
constexpr int64_t kTimingsThatSay = 3;

int method_rank(std::string_view method) {
  if (method == kFullLabel) return 0;
  return is_floor(method) ? method == kNoneLabel ? 3 : 2 : 1;
}

std::vector<std::string> tasks_of(const Summary& s, const GroupKey& key) {
  std::vector<std::string> out;
  for (const SummaryCell& c : s.cells)
    if (key.holds(c) && std::find(out.begin(), out.end(), c.key.task) == out.end())
      out.push_back(c.key.task);
  return out;
}

/// A column's entries that compete for the bold face at one budget.
struct Candidate {
  size_t row;
  ScoreWithInterval score;
};
void mark_best(Table& table, size_t column, std::vector<Candidate> candidates) {
  std::erase_if(candidates, [](const Candidate& c) { return !std::isfinite(c.score.mean); });
  if (candidates.size() < 2) return;
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.score.mean > b.score.mean; });
  if (candidates[0].score.ci.low > candidates[1].score.mean)
    table.rows[candidates[0].row][column].bold = true;
}

TableCell task_cell(const SummaryCell* c) {
  if (c == nullptr) return {"-", false, "not measured"};
  return {percent_text(c->score.mean), false,
          fmt::format("{}, {} documents, {} questions{}", percent_text(c->score.mean, c->score.ci),
                      c->documents, c->questions,
                      c->failed > 0 ? fmt::format(", {} failed", c->failed) : "")};
}

/// `all`: with the mean over the left-out tasks too.
std::vector<TableCell> group_row(const Summary& s, const SummaryGroup& g,
                                 const std::vector<std::string>& tasks, bool all) {
  const bool compacted = !is_bound(g.method);
  std::vector<TableCell> row{{method_title(g.method)},
                             {compacted ? budget_text(g.budget) : std::string("-")}};
  for (const std::string& task : tasks)
    row.push_back(task_cell(s.find({task, g.length, g.mode, g.method, g.budget})));
  row.push_back({percent_text(g.score.mean, g.score.ci)});
  if (all) row.push_back({percent_text(g.all.score.mean, g.all.score.ci)});
  const auto& off = g.judged_or_all().from_full;
  row.push_back({off ? signed_percent_text(off->mean, off->ci) : "-"});
  row.push_back({percent_text(g.kept_ratio)});
  row.push_back({mib_text(g.kv_bytes)});
  row.push_back({compacted ? three_digits(g.compaction_seconds) : std::string("-")});
  return row;
}

std::string join(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& text : list) out += (out.empty() ? "" : ", ") + text;
  return out;
}

void add_notes(Table& table, const Summary& s, const GroupKey& key) {
  for (const LeftOutTask& t : s.left_out)
    if (t.group == key.group && t.length == key.length && t.mode == key.mode)
      table.notes.push_back(
          fmt::format("{} is left out of the mean: the full cache scores {}, below {}.", t.task,
                      percent_text(t.full_score), percent_text(s.options.min_full_score)));
  for (const Floor& floor : kFloors) {
    const auto rows = group_rows(s, key);
    const bool there = std::any_of(rows.begin(), rows.end(), [&](const SummaryGroup* g) {
      return method_title(g->method) == floor.title;
    });
    if (!there) table.notes.push_back(fmt::format("No row for {} was measured.", floor.title));
  }
  if (const auto rows = group_rows(s, key); !rows.empty() && rows[0]->tasks.empty())
    table.notes.emplace_back("No task counts towards the mean: differences are of all tasks.");
  std::set<std::string> missing;
  for (const SummaryGroup* g : group_rows(s, key))
    for (const std::string& task : g->missing)
      missing.insert(fmt::format("{} {} on {}", g->method, budget_text(g->budget), task));
  if (!missing.empty())
    table.notes.push_back(fmt::format("Not measured, so without a mean: {}.",
                                      join({missing.begin(), missing.end()})));
  int64_t failed = 0, truncated = 0, fewest = INT64_MAX, most = 0, questions = 0;
  int64_t fewest_timed = INT64_MAX;
  for (const SummaryCell& c : s.cells) {
    if (!key.holds(c)) continue;
    failed += c.failed;
    if (!is_bound(c.key.method)) fewest_timed = std::min(fewest_timed, c.timing.compaction.count);
    truncated += c.truncated;
    questions += c.questions;
    fewest = std::min(fewest, c.documents);
    most = std::max(most, c.documents);
  }
  table.notes.push_back(fmt::format(
      "Documents a cell: {}. {} answers, of which {} failed (they score 0) and {} are about "
      "truncated documents.",
      fewest == most ? std::to_string(most) : fmt::format("{} to {}", fewest, most), questions,
      failed, truncated));
  if (fewest_timed < kTimingsThatSay)
    table.notes.push_back(
        fmt::format("Seconds say little: some are of fewer than {} compactions.", kTimingsThatSay));
  std::vector<std::string> sizes;
  for (const SummaryCell& c : s.cells)
    if (key.holds(c) && c.key.method == kFullLabel)
      if (const auto x = c.metrics.find("x"); x != c.metrics.end())
        sizes.push_back(fmt::format("{} {}", c.key.task, three_digits(x->second)));
  if (!sizes.empty())
    table.notes.push_back(fmt::format(
        "Mean size of the documents, in the units of their generators, which depends on "
        "the tokenizer: {}.",
        join(sizes)));
}

}  // namespace

bool GroupKey::holds(const SummaryCell& c) const {
  return c.group == group && c.key.length == length && c.key.mode == mode;
}
bool GroupKey::holds(const SummaryGroup& g) const {
  return g.group == group && g.length == length && g.mode == mode;
}

std::string GroupKey::title() const {
  std::string out = group.empty() ? "tasks" : group;
  if (length > 0) out += fmt::format(", {} tokens", length);
  if (mode == "aware") return out + ", query-aware";
  if (mode == "in-prompt") return out + ", in-prompt: NOT COMPARABLE";
  return mode == "agnostic" ? out : out + ", mode " + mode;
}

std::vector<GroupKey> group_keys(const Summary& summary) {
  std::vector<GroupKey> out;
  for (const SummaryGroup& g : summary.groups) {
    const GroupKey key{g.group, g.length, g.mode};
    if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(key);
  }
  return out;
}

std::vector<const SummaryGroup*> group_rows(const Summary& summary, const GroupKey& key) {
  std::vector<const SummaryGroup*> out;
  std::vector<std::string> methods;
  for (const SummaryGroup& g : summary.groups) {
    if (!key.holds(g)) continue;
    out.push_back(&g);
    if (std::find(methods.begin(), methods.end(), g.method) == methods.end())
      methods.push_back(g.method);
  }
  const auto order = [&](const SummaryGroup* g) {
    const auto place = std::find(methods.begin(), methods.end(), g->method) - methods.begin();
    return std::tuple(method_rank(g->method), place, -g->budget);
  };
  std::stable_sort(out.begin(), out.end(),
                   [&](const auto* a, const auto* b) { return order(a) < order(b); });
  return out;
}

bool is_bound(std::string_view method) { return method == kFullLabel || method == kNoneLabel; }

bool is_floor(std::string_view method) {
  return std::any_of(std::begin(kFloors), std::end(kFloors),
                     [&](const Floor& f) { return f.label == method; });
}

std::string method_title(std::string_view method) {
  if (method == kFullLabel) return "full cache";
  for (const Floor& f : kFloors)
    if (f.label == method) return std::string(f.title);
  return std::string(method);
}

Table group_table(const Summary& s, const GroupKey& key) {
  const std::vector<std::string> tasks = tasks_of(s, key);
  const std::vector<const SummaryGroup*> rows = group_rows(s, key);
  Table out;
  out.title = key.title();
  out.columns = {"method", "asked"};
  out.columns.insert(out.columns.end(), tasks.begin(), tasks.end());
  out.columns.emplace_back("mean");
  const bool left_out = !rows.empty() && rows[0]->tasks.size() < tasks.size();
  if (left_out) out.columns.emplace_back("mean of all");
  for (const char* name : {"difference from full", "kept %", "MiB", "seconds"})
    out.columns.emplace_back(name);
  std::map<double, std::vector<size_t>> by_budget;
  for (const SummaryGroup* g : rows) {
    if (!is_bound(g->method)) by_budget[g->budget].push_back(out.rows.size());
    out.rows.push_back(group_row(s, *g, tasks, left_out));
  }
  for (const auto& [budget, places] : by_budget) {
    for (size_t t = 0; t <= tasks.size(); ++t) {
      std::vector<Candidate> candidates;
      for (const size_t i : places) {
        if (t == tasks.size()) {
          candidates.push_back({i, rows[i]->score});
          continue;
        }
        const SummaryCell* c = s.find({tasks[t], key.length, key.mode, rows[i]->method, budget});
        if (c != nullptr) candidates.push_back({i, c->score});
      }
      mark_best(out, 2 + t, candidates);
    }
  }
  add_notes(out, s, key);
  return out;
}

Table interval_table(const Summary& s, const GroupKey& key) {
  Table out;
  const std::vector<std::string> tasks = tasks_of(s, key);
  if (tasks.size() < 2) return out;
  out.title = "Intervals of the tasks' scores, 95 %";
  out.columns = {"method", "asked"};
  out.columns.insert(out.columns.end(), tasks.begin(), tasks.end());
  for (const SummaryGroup* g : group_rows(s, key)) {
    std::vector<TableCell> row{{method_title(g->method)},
                               {is_bound(g->method) ? "-" : budget_text(g->budget)}};
    for (const std::string& task : tasks) {
      const SummaryCell* c = s.find({task, g->length, g->mode, g->method, g->budget});
      const bool known = c != nullptr && std::isfinite(c->score.ci.low);
      row.push_back(
          {known ? fmt::format("{:.1f} to {:.1f}", 100 * c->score.ci.low, 100 * c->score.ci.high)
                 : "-"});
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

namespace {

/// Methods by tasks; `what` names what the values are.
Table critical_values_table(const Summary& s, const GroupKey& key,
                            std::span<const SummaryCritical> values, std::string_view what) {
  Table out;
  const std::vector<std::string> tasks = tasks_of(s, key);
  out.columns = {"method"};
  out.columns.insert(out.columns.end(), tasks.begin(), tasks.end());
  out.columns.emplace_back("censored");
  std::vector<std::string> methods;
  std::map<std::pair<std::string, std::string>, const SummaryCritical*> found;
  for (const SummaryCritical& c : values) {
    if (c.group != key.group || c.length != key.length || c.mode != key.mode) continue;
    if (std::find(methods.begin(), methods.end(), c.method) == methods.end())
      methods.push_back(c.method);
    found[{c.method, c.task}] = &c;
  }
  for (const std::string& method : methods) {
    std::vector<TableCell> row{{method_title(method)}};
    int64_t censored = 0;
    for (const std::string& task : tasks) {
      const auto it = found.find({method, task});
      if (it == found.end()) {
        row.push_back({"-"});
        continue;
      }
      CriticalFootprint c = it->second->critical;
      censored += c.censored() ? 1 : 0;
      c.value *= 100;
      std::string grid;
      for (const FootprintPoint& p : it->second->grid)
        grid += fmt::format("{}{} at {} {}", grid.empty() ? "score " : ", ", percent_text(p.score),
                            what, percent_text(p.footprint));
      row.push_back({c.text(), false, grid});
    }
    row.push_back({std::to_string(censored)});
    out.rows.push_back(std::move(row));
  }
  out.notes = {
      "First failure from the right over the measured budgets; < and > mark results at the end of "
      "the grid, which are bounds and not averaged."};
  return out;
}

}  // namespace

Table critical_table(const Summary& s, const GroupKey& key) {
  Table out = critical_values_table(s, key, s.critical, "footprint");
  out.title = fmt::format("Critical footprint, % of the full cache's, at {} of its score",
                          budget_text(s.options.phi));
  out.notes.emplace_back(
      "Footprints are over time: those of methods that compact after the prefill hardly fall with "
      "what is kept.");
  return out;
}

Table critical_kept_table(const Summary& s, const GroupKey& key) {
  Table out = critical_values_table(s, key, critical_kept(s), "kept part");
  out.title = fmt::format("Critical kept part, % of the entries, at {} of the full cache's score",
                          budget_text(s.options.phi));
  return out;
}

std::string percent_text(double fraction) {
  return std::isfinite(fraction) ? fmt::format("{:.1f}", 100 * fraction) : "-";
}

std::string percent_text(double fraction, const ScoreInterval& ci) {
  const std::string text = percent_text(fraction);
  if (!std::isfinite(fraction) || !std::isfinite(ci.low)) return text;
  return fmt::format("{} ({:.1f} to {:.1f})", text, 100 * ci.low, 100 * ci.high);
}

std::string signed_percent_text(double fraction, const ScoreInterval& ci) {
  if (!std::isfinite(fraction)) return "-";
  // + 0.0 turns the -0.0 of a rounded difference into 0.0.
  const auto text = [](double x) {
    return fmt::format("{:+.1f}", std::round(1000 * x) / 10 + 0.0);
  };
  if (!std::isfinite(ci.low)) return text(fraction);
  return fmt::format("{} ({} to {})", text(fraction), text(ci.low), text(ci.high));
}

std::string three_digits(double x) {
  if (!std::isfinite(x)) return "-";
  if (x == 0) return "0";
  const int whole = static_cast<int>(std::floor(std::log10(std::abs(x)))) + 1;
  return fmt::format("{:.{}f}", x, std::clamp(3 - whole, 0, 9));
}

std::string mib_text(double bytes) { return three_digits(bytes / (1024.0 * 1024.0)); }

std::string budget_text(double ratio) {
  if (!std::isfinite(ratio)) return "-";
  return fmt::format("{:.6g} %", 100 * ratio);
}

std::string length_text(int64_t tokens) {
  return tokens > 0 && tokens % 1024 == 0 ? fmt::format("{}K", tokens / 1024)
                                          : std::to_string(tokens);
}

}  // namespace limbeck
