/// Tables behind the scores: means of categories, language-model metrics, memory and time.
#include "limbeck/eval/report/tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string asked_text(const SummaryGroup& g) {
  return is_bound(g.method) ? "-" : budget_text(g.budget);
}

std::vector<const SummaryCell*> cells_of_row(const Summary& s, const SummaryGroup& g) {
  std::vector<const SummaryCell*> out;
  for (const SummaryCell& c : s.cells)
    if (c.group == g.group && c.key.length == g.length && c.key.mode == g.mode &&
        c.key.method == g.method && c.key.budget == g.budget)
      out.push_back(&c);
  return out;
}

template <class Value>
double mean_over(const std::vector<const SummaryCell*>& cells, Value value) {
  std::vector<double> values;
  for (const SummaryCell* c : cells)
    if (std::isfinite(value(*c))) values.push_back(value(*c));
  return mean_of(values);
}

double metric_of(const SummaryCell& c, const std::string& name) {
  const auto it = c.metrics.find(name);
  return it == c.metrics.end() ? kNan : it->second;
}

/// Tasks of the group whose cells have perplexities.
std::vector<std::string> lm_tasks(const Summary& s, const GroupKey& key) {
  std::vector<std::string> out;
  for (const SummaryCell& c : s.cells)
    if (key.holds(c) && c.metrics.contains("ppl_full") &&
        std::find(out.begin(), out.end(), c.key.task) == out.end())
      out.push_back(c.key.task);
  return out;
}

std::string significant(double x) {
  return std::isfinite(x) ? fmt::format("{:.4g}", x) : std::string("-");
}

}  // namespace

Table category_table(const Summary& s, const GroupKey& key) {
  Table out;
  out.title = "Means of categories, every task counted";
  std::vector<std::string> categories;
  for (const SummaryCategory& c : s.categories)
    if (c.group == key.group && c.length == key.length && c.mode == key.mode &&
        std::find(categories.begin(), categories.end(), c.category) == categories.end())
      categories.push_back(c.category);
  if (categories.empty()) return out;
  out.columns = {"method", "asked"};
  for (const std::string& category : categories) out.columns.push_back(category);
  out.columns.emplace_back("mean of all tasks");
  for (const SummaryGroup* g : group_rows(s, key)) {
    std::vector<TableCell> row{{method_title(g->method)}, {asked_text(*g)}};
    for (const std::string& category : categories) {
      const auto it =
          std::find_if(s.categories.begin(), s.categories.end(), [&](const SummaryCategory& c) {
            return c.group == g->group && c.category == category && c.length == g->length &&
                   c.mode == g->mode && c.method == g->method && c.budget == g->budget;
          });
      row.push_back(it == s.categories.end()
                        ? TableCell{"-"}
                        : TableCell{percent_text(it->score), false,
                                    fmt::format("{} tasks, {:.1f} % of the full cache's score",
                                                it->tasks, it->relative)});
    }
    row.push_back({g->missing.empty()
                       ? percent_text(mean_over(cells_of_row(s, *g),
                                                [](const SummaryCell& c) { return c.score.mean; }))
                       : std::string("-")});
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::vector<Table> lm_tables(const Summary& s, const GroupKey& key) {
  std::vector<Table> out;
  for (const std::string& task : lm_tasks(s, key)) {
    Table t;
    t.title = fmt::format("How the text goes on, {}", task);
    t.columns = {"method",  "asked",   "perplexity", "of full", "ln ratio", "KL mean", "KL 50 %",
                 "KL 90 %", "KL 95 %", "KL 99 %",    "KL max",  "top-1 %",  "dp mean", "dp RMS"};
    const char* distances[] = {"[1,16)", "[16,64)", "[64,256)", "[256,K)"};
    for (const char* d : distances) t.columns.push_back(fmt::format("KL {}", d));
    for (const SummaryGroup* g : group_rows(s, key)) {
      const SummaryCell* c = s.find({task, key.length, key.mode, g->method, g->budget});
      if (c == nullptr) continue;
      std::vector<TableCell> row{{method_title(g->method)}, {asked_text(*g)}};
      for (const char* name :
           {"ppl", "ppl_full", "ln_ratio", "kl", "kl_50", "kl_90", "kl_95", "kl_99", "kl_max"})
        row.push_back({significant(metric_of(*c, name))});
      row.push_back({percent_text(metric_of(*c, "top1"))});
      for (const char* name : {"dp_mean", "dp_rms"})
        row.push_back({significant(metric_of(*c, name))});
      for (const char* d : distances)
        row.push_back({significant(metric_of(*c, fmt::format("kl {}", d)))});
      t.rows.push_back(std::move(row));
    }
    t.notes = {
        "Means over documents; KL divergence from the full cache in nats, dp: change of the "
        "probability of the text's token; distances in tokens from the cut. Further quantiles are "
        "in summary.json."};
    out.push_back(std::move(t));
  }
  return out;
}

Table other_scores_table(const Summary& s, const GroupKey& key) {
  Table out;
  out.title = "Other scores";
  out.columns = {"task", "metric"};
  out.text_columns = 2;
  const auto rows = group_rows(s, key);
  for (const SummaryGroup* g : rows)
    out.columns.push_back(method_title(g->method) +
                          (is_bound(g->method) ? "" : ", " + budget_text(g->budget)));
  const std::vector<std::string> lm = lm_tasks(s, key);
  const auto is_lm = [&](const SummaryCell& c) {
    return std::find(lm.begin(), lm.end(), c.key.task) != lm.end();
  };
  // How far answers moved, over all tasks: the same for each of them would be a long list.
  for (const auto& [name, title] : {std::pair{"kl", "KL of the full cache's answer, nats"},
                                    std::pair{"top1", "likeliest tokens that stay, %"},
                                    std::pair{"own_nll", "its loss, nats"}}) {
    std::vector<TableCell> row{{"mean of tasks"}, {title}};
    bool found = false;
    for (const SummaryGroup* g : rows) {
      const double x = mean_over(cells_of_row(s, *g), [&](const SummaryCell& c) {
        return is_lm(c) ? kNan : metric_of(c, name);
      });
      found = found || std::isfinite(x);
      row.push_back({std::string_view(name) == "top1" ? percent_text(x) : significant(x)});
    }
    if (found) out.rows.push_back(std::move(row));
  }
  std::set<std::pair<std::string, std::string>> names;
  for (const SummaryCell& c : s.cells) {
    if (!key.holds(c) || is_lm(c)) continue;
    for (const auto& [name, value] : c.metrics)
      if (name != "kl" && name != "top1" && name != "own_nll" && name != "depth" && name != "x")
        names.emplace(c.key.task, name);
  }
  for (const auto& [task, name] : names) {
    std::vector<TableCell> row{{task}, {name}};
    bool is_the_score = true;  // which stands in the first table
    for (const SummaryGroup* g : rows) {
      const SummaryCell* c = s.find({task, key.length, key.mode, g->method, g->budget});
      const double x = c == nullptr ? kNan : metric_of(*c, name);
      is_the_score = is_the_score && (c == nullptr || x == c->score.mean);
      row.push_back({percent_text(x)});
    }
    if (!is_the_score) out.rows.push_back(std::move(row));
  }
  return out;
}

Table cost_table(const Summary& s, const GroupKey& key) {
  Table out;
  out.title = "Memory, time and counts";
  out.columns = {"method",         "asked",    "relative %",  "kept %",         "kept a head",
                 "fewest",         "most",     "MiB",         "bytes %",        "footprint %",
                 "in total %",     "after %",  "peak %",      "peak MiB",       "compaction, s",
                 "first token, s", "tokens/s", "process MiB", "answers read %", "truncated",
                 "failed",         "questions"};
  for (const SummaryGroup* g : group_rows(s, key)) {
    const auto cells = cells_of_row(s, *g);
    const auto mean = [&](auto field) { return mean_over(cells, field); };
    int64_t fewest = INT64_MAX, most = 0, truncated = 0, failed = 0, questions = 0;
    double memory = kNan;
    for (const SummaryCell* c : cells) {
      fewest = std::min(fewest, c->kept_min);
      most = std::max(most, c->kept_max);
      truncated += c->truncated;
      failed += c->failed;
      questions += c->questions;
      memory = std::fmax(memory, c->timing.rss_peak);
    }
    const auto percent = [&](auto field) { return TableCell{percent_text(mean(field))}; };
    out.rows.push_back(
        {{method_title(g->method)},
         {asked_text(*g)},
         {percent_text(g->relative / 100)},
         percent([](const SummaryCell& c) { return c.kept_ratio; }),
         {three_digits(mean([](const SummaryCell& c) { return c.kept; }))},
         {std::to_string(fewest)},
         {std::to_string(most)},
         {mib_text(mean([](const SummaryCell& c) { return c.kv_bytes; }))},
         percent([](const SummaryCell& c) { return c.bytes_ratio; }),
         percent([](const SummaryCell& c) { return c.footprint; }),
         percent([](const SummaryCell& c) { return c.footprint_total; }),
         percent([](const SummaryCell& c) { return c.footprint_after; }),
         percent([](const SummaryCell& c) { return c.peak; }),
         {mib_text(mean([](const SummaryCell& c) { return c.kv_bytes_peak; }))},
         {is_bound(g->method) ? "-" : three_digits(mean([](const SummaryCell& c) {
           return c.timing.compaction.median;
         }))},
         {three_digits(mean([](const SummaryCell& c) { return c.timing.first_token.median; }))},
         {three_digits(mean([](const SummaryCell& c) { return c.timing.decode_rate.median; }))},
         {mib_text(memory)},
         percent([](const SummaryCell& c) { return c.parse_rate; }),
         {std::to_string(truncated)},
         {std::to_string(failed)},
         {std::to_string(questions)}});
  }
  out.notes = {
      "Means over all tasks, left-out ones too; seconds and rates are medians over documents, "
      "process memory is the "
      "highest of all. Stages and spreads are in summary.json."};
  return out;
}

Table needle_table(std::span<const NeedleGrid> grids) {
  Table out;
  out.title = "Needles by depth and length";
  out.columns = {"method", "asked", "task", "mode", "mean", "worst cell", "where"};
  out.text_columns = 4;
  for (const NeedleGrid& g : grids)
    out.rows.push_back(
        {{method_title(g.method)},
         {is_bound(g.method) ? "-" : budget_text(g.budget)},
         {g.task},
         {g.mode},
         {percent_text(g.mean)},
         {percent_text(g.worst)},
         {fmt::format("depth {:.4g} %, {} tokens", g.worst_depth, length_text(g.worst_length))}});
  return out;
}

std::vector<Table> detail_tables(const Summary& summary, const GroupKey& key) {
  std::vector<Table> out{interval_table(summary, key)};
  for (Table& t : lm_tables(summary, key)) out.push_back(std::move(t));
  out.push_back(category_table(summary, key));
  out.push_back(other_scores_table(summary, key));
  out.push_back(critical_kept_table(summary, key));
  out.push_back(critical_table(summary, key));
  out.push_back(cost_table(summary, key));
  std::erase_if(out, [](const Table& t) { return t.rows.empty(); });
  return out;
}

}  // namespace limbeck
