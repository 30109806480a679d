#include "limbeck/eval/report/chart.h"

#include "limbeck/eval/report/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

constexpr double kWidth = 800, kLeft = 62, kRight = 545, kTop = 14, kBelow = 48;
constexpr double kLegendStep = 19;
constexpr double kPanelWidth = 240, kPanelHeight = 190;  // of a fan
constexpr double kLegendText = kRight + 46;

std::string series_class(int64_t style) { return fmt::format("s{}", style % kHues); }

struct Axes {
  Scale x, y;
};

void draw_axes(Svg& svg, const Axes& axes, Place corner, Place opposite, int x_ticks, int y_ticks) {
  for (const double t : axes.y.ticks(y_ticks)) {
    svg.line({corner.x, axes.y(t)}, {opposite.x, axes.y(t)}, "grid");
    svg.text({corner.x - 6, axes.y(t) + 4}, tick_text(t), "tick", Anchor::end);
  }
  for (const double t : axes.x.ticks(x_ticks)) {
    svg.line({axes.x(t), corner.y}, {axes.x(t), opposite.y}, "grid");
    svg.text({axes.x(t), opposite.y + 16}, tick_text(t), "tick", Anchor::middle);
  }
  svg.line({corner.x, opposite.y}, opposite, "axis");
  svg.line(corner, {corner.x, opposite.y}, "axis");
}

void draw_series(Svg& svg, const Axes& axes, const ChartSeries& s, const Chart& chart) {
  const std::string css = series_class(s.style);
  std::vector<ChartPoint> points;
  for (const ChartPoint& p : s.points)
    if (can_draw(chart, p)) points.push_back(p);
  std::stable_sort(points.begin(), points.end(),
                   [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  std::vector<Place> places;
  for (const ChartPoint& p : points) {
    places.push_back({axes.x(p.x), axes.y(p.y)});
    if (!std::isfinite(p.low) || !std::isfinite(p.high)) continue;
    svg.line({axes.x(p.x), axes.y(std::max(p.low, axes.y.low()))},
             {axes.x(p.x), axes.y(std::min(p.high, axes.y.high()))}, "whisker " + css);
  }
  if (places.size() > 1) svg.polyline(places, (s.floor ? "line dashed " : "line ") + css);
  const size_t first = s.path && !places.empty() ? places.size() - 1 : 0;
  for (size_t i = first; i < places.size(); ++i) svg.mark(s.style, places[i], css, points[i].tip);
}

void draw_front(Svg& svg, const Axes& axes, const Chart& chart) {
  std::vector<Place> all;
  for (const ChartSeries& s : chart.series)
    for (const ChartPoint& p : s.points)
      if (can_draw(chart, p)) all.push_back({p.x, p.y});
  std::vector<Place> steps;
  for (const size_t i : pareto_front(all)) {
    const Place at{axes.x(all[i].x), axes.y(all[i].y)};
    if (!steps.empty()) steps.push_back({at.x, steps.back().y});
    steps.push_back(at);
  }
  if (steps.empty()) return;
  steps.push_back({kRight, steps.back().y});
  svg.polyline(steps, "front");
}

void draw_legend(Svg& svg, const Chart& chart) {
  double y = kTop + 10;
  const auto entry = [&](const std::string& name) {
    svg.text({kLegendText, y + 4}, clip_text(name, 26), "legend", Anchor::start, name);
    y += kLegendStep;
  };
  for (const ChartLine& l : chart.lines) {
    svg.line({kRight + 14, y}, {kRight + 40, y}, l.css_class);
    entry(l.name);
  }
  if (chart.front) {
    svg.line({kRight + 14, y}, {kRight + 40, y}, "front");
    entry("Pareto front");
  }
  for (const ChartSeries& s : chart.series) {
    const std::string css = series_class(s.style);
    svg.line({kRight + 14, y}, {kRight + 40, y}, (s.floor ? "line dashed " : "line ") + css);
    svg.mark(s.style, {kRight + 27, y}, css);
    entry(s.name);
  }
}

/// What counts as 0 on a logarithmic axis; below it powers of ten lose their digits.
constexpr double kLeastLog = 1e-300;

/// Fans with the points that can be drawn, by x; `xs` and `ys` get what the axes must show.
std::vector<Fan> drawable(std::span<const Fan> fans, std::vector<double>& xs,
                          std::vector<double>& ys) {
  std::vector<Fan> out;
  for (Fan f : fans) {
    std::erase_if(f.points, [](const FanPoint& p) {
      return !std::isfinite(p.x) || p.x < kLeastLog ||
             !std::isfinite(p.median + p.upper + p.uppermost);
    });
    std::stable_sort(f.points.begin(), f.points.end(),
                     [](const FanPoint& a, const FanPoint& b) { return a.x < b.x; });
    for (const FanPoint& p : f.points) {
      xs.push_back(p.x);
      for (const double y : {p.median, p.upper, p.uppermost})
        if (y >= kLeastLog) ys.push_back(y);
    }
    if (!f.points.empty()) out.push_back(std::move(f));
  }
  return out;
}

void draw_fan(Svg& svg, const Axes& axes, const Fan& fan) {
  const std::string css = series_class(fan.style);
  const auto along = [&](double FanPoint::*value) {
    std::vector<Place> out;
    for (const FanPoint& p : fan.points)
      out.push_back({axes.x(p.x), axes.y(std::max(p.*value, axes.y.low()))});
    return out;
  };
  const std::vector<Place> line = along(&FanPoint::median);
  const auto band = [&](std::vector<Place> lower, const std::vector<Place>& upper,
                        const char* name) {
    lower.insert(lower.end(), upper.rbegin(), upper.rend());
    svg.polygon(lower, name + css);
  };
  band(along(&FanPoint::upper), along(&FanPoint::uppermost), "outer ");
  band(line, along(&FanPoint::upper), "inner ");
  if (line.size() > 1) svg.polyline(line, "line " + css);
  for (size_t i = 0; i < line.size(); ++i) svg.mark(fan.style, line[i], css, fan.points[i].tip);
}

}  // namespace

bool can_draw(const Chart& chart, const ChartPoint& p) {
  return std::isfinite(p.x) && std::isfinite(p.y) && (!chart.x_log || p.x >= kLeastLog);
}

std::vector<size_t> pareto_front(std::span<const Place> points) {
  std::vector<size_t> order(points.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return points[a].x != points[b].x ? points[a].x < points[b].x : points[a].y > points[b].y;
  });
  std::vector<size_t> out;
  for (const size_t i : order)
    if (out.empty() || points[i].y > points[out.back()].y) out.push_back(i);
  return out;
}

std::string chart_svg(const Chart& chart) {
  std::vector<double> xs, ys;
  for (const ChartSeries& s : chart.series)
    for (const ChartPoint& p : s.points) {
      if (!can_draw(chart, p)) continue;
      xs.push_back(p.x);
      for (const double y : {p.y, p.low, p.high})
        if (std::isfinite(y)) ys.push_back(y);
    }
  if (xs.empty()) return "";
  for (const ChartLine& l : chart.lines) ys.push_back(l.y);
  const auto entries = static_cast<double>(chart.lines.size() + chart.series.size() + 1);
  const double height = std::max(380.0, kTop + 10 + kLegendStep * entries + 10);
  const double bottom = height - kBelow;
  const Axes axes{scale_around(chart.x_log, xs, kLeft, kRight, chart.x_least, chart.x_most),
                  scale_around(false, ys, bottom, kTop, chart.y_least, chart.y_most)};
  Svg svg(kWidth, height, chart.label);
  draw_axes(svg, axes, {kLeft, kTop}, {kRight, bottom}, 8, 7);
  svg.text({(kLeft + kRight) / 2, height - 10}, chart.x_title, "title", Anchor::middle);
  svg.text({16, (kTop + bottom) / 2}, chart.y_title, "title", Anchor::middle, {}, true);
  for (const ChartLine& l : chart.lines)
    svg.line({kLeft, axes.y(l.y)}, {kRight, axes.y(l.y)}, l.css_class);
  if (chart.front) draw_front(svg, axes, chart);
  for (const ChartSeries& s : chart.series) draw_series(svg, axes, s, chart);
  draw_legend(svg, chart);
  return std::move(svg).finish();
}

std::string fans_svg(std::string_view label, std::span<const Fan> fans, std::string_view x_title,
                     std::string_view y_title) {
  std::vector<double> xs, ys;
  const std::vector<Fan> shown = drawable(fans, xs, ys);
  if (xs.empty() || ys.empty()) return "";
  const size_t columns = std::min<size_t>(3, shown.size());
  const size_t rows = (shown.size() + columns - 1) / columns;
  const double width = std::max(420.0, 40 + kPanelWidth * static_cast<double>(columns));
  const double height = kPanelHeight * static_cast<double>(rows) + 30;
  Svg svg(width, height, label);
  for (size_t i = 0; i < shown.size(); ++i) {
    const Place at{24 + kPanelWidth * static_cast<double>(i % columns),
                   kPanelHeight * static_cast<double>(i / columns)};
    const Place corner{at.x + 52, at.y + 26};
    const Place opposite{at.x + kPanelWidth - 12, at.y + kPanelHeight - 24};
    const Axes axes{scale_around(true, xs, corner.x, opposite.x, 0, 0),
                    scale_around(true, ys, opposite.y, corner.y, 0, 0)};
    draw_axes(svg, axes, corner, opposite, 4, 5);
    draw_fan(svg, axes, shown[i]);
    svg.text({corner.x, corner.y - 8}, clip_text(shown[i].name, 24), "legend", Anchor::start,
             shown[i].name);
  }
  svg.text({width / 2, height - 8}, x_title, "title", Anchor::middle);
  svg.text({14, (height - 30) / 2}, y_title, "title", Anchor::middle, {}, true);
  return std::move(svg).finish();
}

}  // namespace limbeck
