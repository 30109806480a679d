#include "limbeck/eval/report/needles.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/cells.h"
#include "limbeck/eval/report/tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

namespace limbeck {
namespace {

using ScoresByPlace = std::map<double, std::map<int64_t, std::vector<double>>>;

struct Collected {
  NeedleGrid grid;
  ScoresByPlace scores;  ///< by depth and length
};

std::vector<Collected> collect(std::span<const SampleRow> rows) {
  std::vector<Collected> out;
  for (const CellRows& cell : cells_of(rows)) {
    if (cell.group != kNeedleGridTask) continue;
    auto known = std::find_if(out.begin(), out.end(), [&](const Collected& c) {
      return c.grid.task == cell.key.task && c.grid.mode == cell.key.mode &&
             c.grid.method == cell.key.method && c.grid.budget == cell.key.budget;
    });
    if (known == out.end()) {
      known = out.insert(out.end(), Collected{});
      known->grid.task = cell.key.task;
      known->grid.mode = cell.key.mode;
      known->grid.method = cell.key.method;
      known->grid.budget = cell.key.budget;
    }
    for (const CellDocument& d : cell.documents)
      for (const SampleRow* r : d.rows) {
        const auto depth = r->metrics.find("depth");
        if (depth != r->metrics.end() && std::isfinite(depth->second))
          known->scores[depth->second][cell.key.length].push_back(r->score);
      }
  }
  std::erase_if(out, [](const Collected& c) { return c.scores.empty(); });
  std::stable_sort(out.begin(), out.end(), [](const Collected& a, const Collected& b) {
    const auto order = [](const NeedleGrid& g) {
      const int rank = g.method == kFullLabel ? 0 : is_floor(g.method) ? 2 : 1;
      return std::tuple(g.task, g.mode, rank, g.method, -g.budget);
    };
    return order(a.grid) < order(b.grid);
  });
  return out;
}

void settle(NeedleGrid& grid, const ScoresByPlace& scores) {
  grid.worst = std::numeric_limits<double>::infinity();
  std::vector<double> cells;
  for (const double depth : grid.depths) {
    grid.scores.emplace_back();
    for (const int64_t length : grid.lengths) {
      double value = std::numeric_limits<double>::quiet_NaN();
      if (const auto row = scores.find(depth); row != scores.end())
        if (const auto at = row->second.find(length); at != row->second.end())
          value = mean_of(at->second);
      grid.scores.back().push_back(value);
      if (!std::isfinite(value)) continue;
      cells.push_back(value);
      if (value >= grid.worst) continue;
      grid.worst = value;
      grid.worst_depth = depth;
      grid.worst_length = length;
    }
  }
  grid.mean = mean_of(cells);
}

}  // namespace

std::vector<NeedleGrid> needle_grids(std::span<const SampleRow> rows) {
  std::vector<Collected> all = collect(rows);
  std::set<int64_t> lengths;
  std::set<double> depths;
  for (const Collected& c : all)
    for (const auto& [depth, by_length] : c.scores) {
      depths.insert(depth);
      for (const auto& [length, unused] : by_length) lengths.insert(length);
    }
  // A grid is drawn cell by cell: depths that are all different are none.
  constexpr size_t kMostCells = 100000;
  if (depths.size() * lengths.size() * all.size() > kMostCells)
    throw FormatError(
        "[report] needle grids have at most {} cells; found {} of {} depths and {} lengths",
        kMostCells, all.size(), depths.size(), lengths.size());
  std::vector<NeedleGrid> out;
  for (Collected& c : all) {
    c.grid.depths.assign(depths.begin(), depths.end());
    c.grid.lengths.assign(lengths.begin(), lengths.end());
    settle(c.grid, c.scores);
    out.push_back(std::move(c.grid));
  }
  return out;
}

}  // namespace limbeck
