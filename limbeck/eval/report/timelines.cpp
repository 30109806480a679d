#include "limbeck/eval/report/chart.h"
#include "limbeck/eval/report/figures.h"

#include <algorithm>
#include <tuple>

namespace limbeck {
namespace {

/// Units of one document: the full cache, if it is there, and methods at one budget.
using Units = std::map<std::string, const HeadsRow*>;

/// The document and budget with the most methods; of equal ones the smallest budget, the first
/// document.
Units chosen_units(const std::vector<const HeadsRow*>& rows, double& budget) {
  using Document = std::pair<std::string, std::string>;  // task, id
  std::map<double, std::map<Document, Units>> all;
  for (const HeadsRow* h : rows)
    if (!is_bound(h->method)) all[h->budget][{h->task, h->doc_id}][h->method] = h;
  const Units* best = nullptr;
  for (const auto& [of, documents] : all)
    for (const auto& [document, units] : documents)
      if (best == nullptr || units.size() > best->size()) {
        best = &units;
        budget = of;
      }
  if (best == nullptr) return {};
  Units out = *best;
  const HeadsRow& some = *best->begin()->second;
  for (const HeadsRow* h : rows)
    if (h->method == kFullLabel && h->task == some.task && h->doc_id == some.doc_id)
      out[h->method] = h;
  return out;
}

/// The full cache first, floors last.
std::vector<const HeadsRow*> in_order(const Units& units) {
  std::vector<const HeadsRow*> out;
  for (const auto& [method, row] : units) out.push_back(row);
  std::stable_sort(out.begin(), out.end(), [](const HeadsRow* a, const HeadsRow* b) {
    const auto rank = [](const HeadsRow* h) {
      return h->method == kFullLabel ? 0 : is_floor(h->method) ? 2 : 1;
    };
    return rank(a) < rank(b);
  });
  return out;
}

Figure timeline_figure(const Units& units, int64_t length, double budget,
                       const MethodStyles& styles) {
  const HeadsRow& some = *units.begin()->second;
  Figure out;
  out.title = fmt::format("Entries held over time, {} kept", budget_text(budget));
  if (length > 0) out.title += fmt::format(", {} tokens", length);
  out.caption = fmt::format(
      "Mean over heads, document {} of {}: reading, compaction, question and answer. Rows of "
      "passes "
      "that only make reference queries count as steps. The area under a line is the footprint in "
      "total.",
      some.doc_id, some.task);
  out.data.columns = {"method", "rows run", "entries a head"};
  Chart chart;
  chart.label = out.title;
  chart.x_title = "rows run through the model";
  chart.y_title = "entries a head";
  chart.y_most = std::numeric_limits<double>::max();
  for (const HeadsRow* h : in_order(units)) {
    const std::string name = method_title(h->method);
    const auto style = styles.find(h->method);
    ChartSeries series{name,
                       style != styles.end() ? style->second : static_cast<int64_t>(styles.size()),
                       is_floor(h->method),
                       {},
                       true};
    for (const HeldPoint& p : h->timeline) {
      ChartPoint point{static_cast<double>(p.step), p.entries};
      point.tip = fmt::format("{}: {} entries at the end", name, three_digits(p.entries));
      series.points.push_back(point);
      out.data.rows.push_back(
          {{name}, {std::to_string(p.step)}, {fmt::format("{:.1f}", p.entries)}});
    }
    chart.series.push_back(std::move(series));
  }
  out.svg = chart_svg(chart);
  return out;
}

}  // namespace

std::vector<Figure> timeline_figures(std::span<const HeadsRow> heads, const MethodStyles& styles) {
  std::map<int64_t, std::vector<const HeadsRow*>> lengths;
  for (const HeadsRow& h : heads)
    if (!h.timeline.empty()) lengths[h.length].push_back(&h);
  std::vector<Figure> out;
  for (auto& [length, rows] : lengths) {
    double budget = 1;
    const Units units = chosen_units(rows, budget);
    if (!units.empty()) out.push_back(timeline_figure(units, length, budget, styles));
  }
  return out;
}

}  // namespace limbeck
