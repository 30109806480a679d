/// A chart of series over an axis: quality against bytes, seconds or footprint; and fans of
/// quantiles.
#pragma once

#include "limbeck/eval/report/svg.h"

#include <limits>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct ChartPoint {
  double x = 0, y = 0;
  double low = std::numeric_limits<double>::quiet_NaN();  ///< interval of y; NaN: not drawn
  double high = std::numeric_limits<double>::quiet_NaN();
  std::string tip = {};
};

struct ChartSeries {
  std::string name;
  int64_t style = 0;   ///< colour and mark, the same for a method in all figures
  bool floor = false;  ///< drawn dashed
  std::vector<ChartPoint> points;
  bool path = false;  ///< points are corners of one line: only the last has a mark
};

/// Across the plot at one y.
struct ChartLine {
  std::string name;
  double y = 0;
  std::string css_class;  ///< "full", "none", "threshold"
};

struct Chart {
  std::string label, x_title, y_title;
  bool x_log = false;
  double y_least = 0, y_most = 100;
  double x_least = 0, x_most = std::numeric_limits<double>::max();
  std::vector<ChartSeries> series;
  std::vector<ChartLine> lines;
  bool front = false;  ///< draws the Pareto front
};

/// Whether a point can be drawn: finite, and above 0 on a logarithmic axis.
bool can_draw(const Chart& chart, const ChartPoint& p);
/// Indices of the points that no other beats in both less x and more y, by x. Of equal ones the
/// first.
std::vector<size_t> pareto_front(std::span<const Place> points);

/// Points that cannot be drawn are left out; empty when none is left.
std::string chart_svg(const Chart& chart);

struct FanPoint {
  double x = 0;
  double median = 0, upper = 0, uppermost = 0;  ///< 50, 90 and 99 %
  std::string tip = {};
};
struct Fan {
  std::string name;
  int64_t style = 0;
  std::vector<FanPoint> points;
};
/// One panel for each, with common logarithmic axes. Empty when no point can be drawn; values of 0
/// and below stand at the lower edge.
std::string fans_svg(std::string_view label, std::span<const Fan> fans, std::string_view x_title,
                     std::string_view y_title);

}  // namespace limbeck
