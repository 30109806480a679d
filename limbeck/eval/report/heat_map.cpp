#include "limbeck/eval/report/heat_map.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/svg.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

constexpr double kTop = 12, kBelow = 44, kRight = 78;
constexpr double kDigit = 7.5;  // width of a character of a name

double part_of(const HeatMap& map, double value) {
  if (map.logarithmic && map.high > map.low)
    return std::log(std::max(value, map.low) / map.low) / std::log(map.high / map.low);
  return map.high > map.low ? (value - map.low) / (map.high - map.low) : 0.5;
}

std::string number_text(const HeatMap& map, double value) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, map.digits) : "no value";
}

/// From the top: high to low, with the ends named.
void draw_bar(Svg& svg, const HeatMap& map, double x, double height) {
  constexpr int steps = 32;
  for (int i = 0; i < steps; ++i)
    // One pixel more than a step, so that no seam shows.
    svg.rect({x, kTop + height * i / steps}, 12, height / steps + (i + 1 < steps ? 1 : 0), "bar",
             {}, scale_colour(1 - (i + 0.5) / steps));
  svg.text({x + 16, kTop + 9}, number_text(map, map.high), "tick");
  svg.text({x + 16, kTop + height}, number_text(map, map.low), "tick");
}

struct Layout {
  double left = 0, cell_width = 0, cell_height = 0;
  bool numbered = false;
  Place corner(size_t row, size_t column) const {
    return {left + cell_width * static_cast<double>(column),
            kTop + cell_height * static_cast<double>(row)};
  }
};

size_t longest(const std::vector<std::string>& names) {
  int64_t out = 1;
  for (const std::string& name : names) out = std::max(out, count_characters(name));
  return static_cast<size_t>(out);
}

Layout layout_of(const HeatMap& map) {
  const size_t rows = map.rows.size(), columns = map.columns.size();
  Layout out;
  out.numbered = rows <= kNumberedCells && columns <= kNumberedCells;
  out.left = 34 + kDigit * static_cast<double>(std::min<size_t>(longest(map.rows), 16));
  out.cell_width =
      std::clamp(620.0 / static_cast<double>(columns), out.numbered ? 34.0 : 5.0, 56.0);
  out.cell_height = std::clamp(420.0 / static_cast<double>(rows), out.numbered ? 20.0 : 5.0, 28.0);
  return out;
}

void draw_cell(Svg& svg, const HeatMap& map, const Layout& layout, size_t r, size_t c) {
  const double value = map.values[r][c];
  const Place corner = layout.corner(r, c);
  const std::string number = number_text(map, value);
  const std::string tip = fmt::format("{} {}, {} {}: {}", map.y_title, map.rows[r], map.x_title,
                                      map.columns[c], number);
  if (!std::isfinite(value))
    return svg.rect(corner, layout.cell_width, layout.cell_height, "missing", tip);
  const Rgb colour = scale_colour(part_of(map, value));
  svg.rect(corner, layout.cell_width, layout.cell_height, "cell", tip, colour);
  if (!layout.numbered) return;
  svg.text({corner.x + layout.cell_width / 2, corner.y + layout.cell_height / 2 + 4}, number,
           "number", Anchor::middle, tip, false, text_colour_on(colour));
}

/// Names are thinned where they would run into each other.
void draw_names(Svg& svg, const HeatMap& map, const Layout& layout) {
  const auto each = [](double wanted, double size) {
    return std::max<size_t>(1, static_cast<size_t>(std::ceil(wanted / size)));
  };
  const double name_width = kDigit * static_cast<double>(longest(map.columns)) + 6;
  const double below = layout.corner(map.rows.size(), 0).y + 15;
  for (size_t c = 0; c < map.columns.size(); c += each(name_width, layout.cell_width))
    svg.text({layout.corner(0, c).x + layout.cell_width / 2, below}, map.columns[c], "tick",
             Anchor::middle);
  for (size_t r = 0; r < map.rows.size(); r += each(13, layout.cell_height))
    svg.text({layout.left - 6, layout.corner(r, 0).y + layout.cell_height / 2 + 4},
             clip_text(map.rows[r], 16), "tick", Anchor::end);
}

}  // namespace

std::string heat_map_svg(const HeatMap& map) {
  const size_t rows = map.rows.size(), columns = map.columns.size();
  bool fits = rows > 0 && columns > 0 && map.values.size() == rows;
  for (const auto& row : map.values) fits = fits && row.size() == columns;
  if (!fits)
    throw InvalidArgument("[figure] a heat map needs a value for each of {} rows x {} columns",
                          rows, columns);
  if (map.logarithmic && !(map.low > 0))
    throw InvalidArgument("[figure] a logarithmic heat map begins above 0; found {}", map.low);
  const Layout layout = layout_of(map);
  const Place end = layout.corner(rows, columns);
  // A single row leaves no room for the bar's two numbers and the turned title.
  const double tall = std::max(end.y - kTop, std::max(44.0, text_width(map.y_title, 12) - kBelow));
  const double title_width = text_width(map.x_title, 12);
  Svg svg(std::max(end.x + kRight, layout.left + title_width + 8), kTop + tall + kBelow, map.label);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) draw_cell(svg, map, layout, r, c);
  draw_names(svg, map, layout);
  svg.text({std::max((layout.left + end.x) / 2, layout.left + title_width / 2), end.y + 34},
           map.x_title, "title", Anchor::middle);
  svg.text({14, kTop + tall / 2}, map.y_title, "title", Anchor::middle, {}, true);
  draw_bar(svg, map, end.x + 14, tall);
  return std::move(svg).finish();
}

}  // namespace limbeck
