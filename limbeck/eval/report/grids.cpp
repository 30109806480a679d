#include "limbeck/base/error.h"
#include "limbeck/eval/report/cells.h"
#include "limbeck/eval/report/figures.h"
#include "limbeck/eval/report/heat_map.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Table table_of(const HeatMap& map) {
  Table out;
  out.columns = {map.y_title + " \\ " + map.x_title};
  out.columns.insert(out.columns.end(), map.columns.begin(), map.columns.end());
  for (size_t r = 0; r < map.rows.size(); ++r) {
    std::vector<TableCell> row{{map.rows[r]}};
    for (const double x : map.values[r])
      row.push_back({std::isfinite(x) ? fmt::format("{:.{}f}", x, map.digits + 1) : "-"});
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::string named(const std::string& method, double budget) {
  return is_bound(method) ? method_title(method)
                          : fmt::format("{}, {}", method_title(method), budget_text(budget));
}

Figure needle_figure(const NeedleGrid& grid) {
  HeatMap map;
  map.x_title = "length, tokens";
  map.y_title = "depth, %";
  map.high = 100;
  for (const int64_t length : grid.lengths) map.columns.push_back(length_text(length));
  for (size_t d = 0; d < grid.depths.size(); ++d) {
    map.rows.push_back(fmt::format("{:.4g}", grid.depths[d]));
    map.values.push_back(grid.scores[d]);
    for (double& value : map.values.back()) value *= 100;
  }
  Figure out;
  out.title = "Needles, " + named(grid.method, grid.budget);
  if (grid.task != kNeedleGridTask) out.title += ", " + grid.task;
  if (grid.mode != "agnostic") out.title += ", mode " + grid.mode;
  out.caption = fmt::format(
      "Score in %: mean {:.1f}, worst cell {:.1f} (depth {:.4g} %, {} tokens).", 100 * grid.mean,
      100 * grid.worst, grid.worst_depth, length_text(grid.worst_length));
  map.label = out.title;
  out.svg = heat_map_svg(map);
  out.data = table_of(map);
  return out;
}

/// The budget that most methods have, of those the smallest.
double common_budget(std::span<const HeadsRow> heads) {
  std::map<double, std::set<std::string>> methods;
  for (const HeadsRow& h : heads)
    if (!is_bound(h.method) && !h.kept.empty()) methods[h.budget].insert(h.method);
  double best = kNan;
  size_t most = 0;
  for (const auto& [budget, of_budget] : methods)
    if (of_budget.size() > most) {
      most = of_budget.size();
      best = budget;
    }
  return best;
}

/// Shares of each head in % of the document's mean over heads; one list for each head.
std::vector<std::vector<double>> head_shares(const std::vector<const HeadsRow*>& documents) {
  std::vector<std::vector<double>> out(documents[0]->kept.size());
  for (const HeadsRow* h : documents) {
    double sum = 0;
    for (const int64_t kept : h->kept) sum += static_cast<double>(kept);
    if (sum <= 0) continue;
    for (size_t i = 0; i < out.size(); ++i)
      out[i].push_back(100 * static_cast<double>(h->kept[i]) * static_cast<double>(out.size()) /
                       sum);
  }
  return out;
}

double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return kNan;
  const double mean = mean_of(values);
  double squares = 0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

/// Layers across, since there are more of them than of KV heads.
Figure head_figure(const HeadsRow& shape, const std::vector<std::vector<double>>& shares,
                   bool spread, size_t documents) {
  HeatMap map;
  map.x_title = "layer";
  map.y_title = "KV head";
  const auto layers = static_cast<size_t>(shape.layers), n = static_cast<size_t>(shape.kv_heads);
  for (size_t l = 0; l < layers; ++l) map.columns.push_back(std::to_string(l));
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (size_t h = 0; h < n; ++h) {
    map.rows.push_back(std::to_string(h));
    map.values.emplace_back();
    for (size_t l = 0; l < layers; ++l) {
      const std::vector<double>& of_head = shares[l * n + h];
      const double x = spread ? deviation(of_head) : mean_of(of_head);
      map.values.back().push_back(x);
      if (!std::isfinite(x)) continue;
      if (x > 0) low = std::min(low, x);
      high = std::max(high, x);
    }
  }
  map.low = spread || low > high ? 0 : low;
  // One head with twenty times the mean would leave all others dark.
  map.logarithmic = map.low > 0;
  map.high = std::max(high, map.low);
  Figure out;
  out.title = fmt::format("{} of the heads' budgets, {}", spread ? "Spread" : "Mean",
                          named(shape.method, shape.budget));
  const char* what = spread ? "Standard deviation over documents of the entries that a head keeps"
                            : "Entries that a head keeps, mean over documents";
  out.caption = fmt::format("{}, in % of the mean over heads; {} documents.{}", what, documents,
                            map.logarithmic ? " Equal ratios are equal steps of colour." : "");
  map.label = out.title;
  out.svg = heat_map_svg(map);
  out.data = table_of(map);
  return out;
}

}  // namespace

std::vector<Figure> needle_figures(std::span<const NeedleGrid> grids) {
  std::vector<Figure> out;
  for (const NeedleGrid& g : grids) out.push_back(needle_figure(g));
  return out;
}

std::vector<Figure> head_figures(std::span<const HeadsRow> heads) {
  const double budget = common_budget(heads);
  std::map<std::string, std::vector<const HeadsRow*>> methods;
  for (const HeadsRow& h : heads)
    // Units that failed have no heads.
    if (h.budget == budget && !is_bound(h.method) && !h.kept.empty())
      methods[h.method].push_back(&h);
  std::vector<Figure> out;
  for (auto& [method, documents] : methods) {
    // Sums of doubles depend on the order, files of shards on the machines.
    std::sort(documents.begin(), documents.end(), [](const HeadsRow* a, const HeadsRow* b) {
      return std::tie(a->task, a->length, a->doc_id) < std::tie(b->task, b->length, b->doc_id);
    });
    const HeadsRow& shape = *documents[0];
    for (const HeadsRow* h : documents)
      if (h->layers != shape.layers || h->kv_heads != shape.kv_heads ||
          h->layers * h->kv_heads != static_cast<int64_t>(h->kept.size()))
        throw InvalidArgument(
            "[figure] the heads of a run must have one shape; found {} x {} and {} x {} for {}",
            shape.layers, shape.kv_heads, h->layers, h->kv_heads, quote(method));
    const auto shares = head_shares(documents);
    for (const bool spread : {false, true})
      out.push_back(head_figure(shape, shares, spread, documents.size()));
  }
  return out;
}

}  // namespace limbeck
