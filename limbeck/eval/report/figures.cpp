#include "limbeck/eval/report/figures.h"

#include "limbeck/eval/report/chart.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace limbeck {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

/// What a chart puts on its x axis.
struct XAxis {
  std::string title, column;
  bool logarithmic = true;
  std::function<double(const SummaryGroup&)> value;
};

ChartPoint point_of(const SummaryGroup& g, const XAxis& axis) {
  const double x = axis.value(g);
  const ScoreWithInterval& score = g.judged_or_all().score;
  return {x, 100 * score.mean, 100 * score.ci.low, 100 * score.ci.high,
          fmt::format("{} {}: {}; {} {}; {} of the entries", method_title(g.method),
                      budget_text(g.budget), percent_text(score.mean, score.ci), axis.column,
                      three_digits(x), budget_text(std::round(1000 * g.kept_ratio) / 1000))};
}

/// Every method but the bounds, which are lines.
Chart chart_of(const Summary& s, const GroupKey& key, const MethodStyles& styles,
               const XAxis& axis) {
  Chart chart;
  chart.x_title = axis.title;
  chart.y_title = "mean score, %";
  chart.x_log = axis.logarithmic;
  for (const SummaryGroup* g : group_rows(s, key)) {
    if (g->method == kFullLabel || g->method == kNoneLabel) {
      const bool full = g->method == kFullLabel;
      const double mean = g->judged_or_all().score.mean;
      if (std::isfinite(mean))
        chart.lines.push_back({fmt::format("{} {}", method_title(g->method), percent_text(mean)),
                               100 * mean, full ? "full" : "none"});
      continue;
    }
    const std::string name = method_title(g->method);
    if (chart.series.empty() || chart.series.back().name != name)
      chart.series.push_back({name, styles.at(g->method), is_floor(g->method), {}});
    chart.series.back().points.push_back(point_of(*g, axis));
  }
  return chart;
}

Table table_of(const Summary& s, const GroupKey& key, const XAxis& axis, const Chart& chart) {
  Table out;
  out.columns = {"method", "asked", axis.column, "mean score %"};
  if (chart.front) out.columns.emplace_back("on the front");
  std::vector<Place> drawn;
  std::vector<size_t> places;
  for (const SummaryGroup* g : group_rows(s, key)) {
    const bool bound = is_bound(g->method);
    const ChartPoint p = point_of(*g, axis);
    if (!bound && can_draw(chart, p)) {
      drawn.push_back({p.x, p.y});
      places.push_back(out.rows.size());
    }
    out.rows.push_back(
        {{method_title(g->method)},
         {bound ? std::string("-") : budget_text(g->budget)},
         {three_digits(p.x)},
         {percent_text(g->judged_or_all().score.mean, g->judged_or_all().score.ci)}});
    if (chart.front) out.rows.back().push_back({""});
  }
  if (chart.front)
    for (const size_t i : pareto_front(drawn)) out.rows[places[i]].back().text = "yes";
  return out;
}

std::string undrawn(const Chart& chart) {
  int64_t left_out = 0;
  for (const ChartSeries& s : chart.series)
    for (const ChartPoint& p : s.points) left_out += can_draw(chart, p) ? 0 : 1;
  if (left_out == 0) return "";
  return fmt::format(" {} point{} without a score or a positive value {} not drawn.", left_out,
                     left_out == 1 ? "" : "s", left_out == 1 ? "is" : "are");
}

void add_chart(std::vector<Figure>& out, const Summary& s, const GroupKey& key, const XAxis& axis,
               Chart chart, const std::string& title, const std::string& caption) {
  chart.label = fmt::format("{}: {}", key.title(), title);
  std::string svg = chart_svg(chart);
  if (svg.empty()) return;
  const auto rows = group_rows(s, key);
  const std::string over = !rows.empty() && rows[0]->tasks.empty()
                               ? " Means are over all tasks, since the full cache fails each."
                               : "";
  out.push_back(
      {title, caption + over + undrawn(chart), std::move(svg), table_of(s, key, axis, chart)});
}

/// Tasks of the group whose cells have quantiles of the divergence.
std::vector<std::string> kl_tasks(const Summary& s, const GroupKey& key) {
  std::vector<std::string> out;
  for (const SummaryCell& c : s.cells)
    if (key.holds(c) && c.metrics.contains("kl_50") && c.metrics.contains("kl_90") &&
        c.metrics.contains("kl_99") && std::find(out.begin(), out.end(), c.key.task) == out.end())
      out.push_back(c.key.task);
  return out;
}

void add_fans(std::vector<Figure>& out, const Summary& s, const GroupKey& key,
              const std::string& task, const MethodStyles& styles) {
  Figure figure;
  figure.title = fmt::format("KL divergence against bytes, {}", task);
  figure.caption =
      "Line: median over positions, in nats; bands: up to the 90 % and 99 % quantile. Means over "
      "documents; both axes logarithmic and the same in all panels.";
  figure.data.columns = {"method", "asked", "MiB", "50 %", "90 %", "99 %"};
  std::vector<Fan> fans;
  for (const SummaryGroup* g : group_rows(s, key)) {
    if (is_bound(g->method)) continue;
    const SummaryCell* c = s.find({task, key.length, key.mode, g->method, g->budget});
    if (c == nullptr || !c->metrics.contains("kl_50") || !c->metrics.contains("kl_90") ||
        !c->metrics.contains("kl_99"))
      continue;
    const std::string name = method_title(g->method);
    if (fans.empty() || fans.back().name != name) fans.push_back({name, styles.at(g->method), {}});
    const double x = c->kv_bytes / kMib, median = c->metrics.at("kl_50"),
                 upper = c->metrics.at("kl_90"), uppermost = c->metrics.at("kl_99");
    fans.back().points.push_back(
        {x, median, upper, uppermost,
         fmt::format("{} {}, {} MiB: {:.3g}, {:.3g}, {:.3g} nats", name, budget_text(g->budget),
                     three_digits(x), median, upper, uppermost)});
    figure.data.rows.push_back({{name},
                                {budget_text(g->budget)},
                                {three_digits(x)},
                                {fmt::format("{:.4g}", median)},
                                {fmt::format("{:.4g}", upper)},
                                {fmt::format("{:.4g}", uppermost)}});
  }
  figure.svg = fans_svg(fmt::format("{}: {}", key.title(), figure.title), fans, "KV cache, MiB",
                        "KL divergence, nats");
  if (!figure.svg.empty()) out.push_back(std::move(figure));
}

}  // namespace

MethodStyles method_styles(const Summary& summary) {
  MethodStyles out;
  // Floors come last, so that the methods get the first colours.
  for (const bool floors : {false, true})
    for (const SummaryCell& c : summary.cells)
      if (is_floor(c.key.method) == floors && !is_bound(c.key.method))
        out.emplace(c.key.method, static_cast<int64_t>(out.size()));
  return out;
}

std::vector<Figure> group_figures(const Summary& s, const GroupKey& key,
                                  const MethodStyles& styles) {
  std::vector<Figure> out;
  const XAxis bytes{"KV cache after compaction, MiB (logarithmic)", "MiB", true,
                    [](const SummaryGroup& g) { return g.kv_bytes / kMib; }};
  Chart chart = chart_of(s, key, styles, bytes);
  chart.front = true;
  add_chart(out, s, key, bytes, std::move(chart), "Quality against bytes",
            "Whiskers: 95 % intervals over documents. Thick line: the Pareto front, the best "
            "measured score at most so many bytes.");
  const XAxis seconds{"compaction, seconds (logarithmic)", "seconds", true,
                      [](const SummaryGroup& g) { return g.compaction_seconds; }};
  add_chart(out, s, key, seconds, chart_of(s, key, styles, seconds),
            "Quality against compaction seconds",
            "Seconds: mean over the tasks of the median over documents.");
  const XAxis footprint{"footprint in total, % of the full cache's", "footprint %", false,
                        [](const SummaryGroup& g) { return 100 * g.footprint_total; }};
  chart = chart_of(s, key, styles, footprint);
  chart.x_most = 1e6;
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    if (chart.lines[i].css_class != "full") continue;
    const double least = s.options.phi * chart.lines[i].y;
    chart.lines.push_back(
        {fmt::format("{} of full", budget_text(s.options.phi)), least, "threshold"});
    break;
  }
  add_chart(out, s, key, footprint, std::move(chart), "Quality against footprint",
            "Where a curve first falls through the threshold, from the right, is its critical "
            "footprint.");
  for (const std::string& task : kl_tasks(s, key)) add_fans(out, s, key, task, styles);
  return out;
}

}  // namespace limbeck
