#include "limbeck/eval/report/heat_map.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/svg.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

constexpr double kTop = 12, kBelow = 44, kRight = 78;

double part_of(const HeatMap& map, double value) {
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

}  // namespace

std::string heat_map_svg(const HeatMap& map) {
  const size_t rows = map.rows.size(), columns = map.columns.size();
  bool fits = rows > 0 && columns > 0 && map.values.size() == rows;
  for (const auto& row : map.values) fits = fits && row.size() == columns;
  if (!fits)
    throw InvalidArgument("[figure] a heat map needs a value for each of {} rows x {} columns",
                          rows, columns);
  const bool numbered = rows <= kNumberedCells && columns <= kNumberedCells;
  size_t longest = 1;
  for (const std::string& name : map.rows)
    longest = std::max(longest, static_cast<size_t>(count_characters(name)));
  const double left = 34 + 7.5 * static_cast<double>(std::min<size_t>(longest, 16));
  const double cell_width =
      std::clamp(620.0 / static_cast<double>(columns), numbered ? 34.0 : 5.0, 56.0);
  const double cell_height =
      std::clamp(420.0 / static_cast<double>(rows), numbered ? 20.0 : 5.0, 28.0);
  const double wide = cell_width * static_cast<double>(columns);
  const double high = cell_height * static_cast<double>(rows);
  // A single row leaves no room for the bar's two numbers and the turned title.
  const double tall = std::max(high, std::max(44.0, text_width(map.y_title, 12) - kBelow));
  const double width = std::max(left + wide + kRight, left + text_width(map.x_title, 12) + 8);
  Svg svg(width, kTop + tall + kBelow, map.label);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) {
      const double value = map.values[r][c];
      const Place corner{left + cell_width * static_cast<double>(c),
                         kTop + cell_height * static_cast<double>(r)};
      const std::string tip = fmt::format("{} {}, {} {}: {}", map.y_title, map.rows[r], map.x_title,
                                          map.columns[c], number_text(map, value));
      if (!std::isfinite(value)) {
        svg.rect(corner, cell_width, cell_height, "missing", tip);
        continue;
      }
      const Rgb colour = scale_colour(part_of(map, value));
      svg.rect(corner, cell_width, cell_height, "cell", tip, colour);
      if (numbered)
        svg.text({corner.x + cell_width / 2, corner.y + cell_height / 2 + 4},
                 number_text(map, value), "number", Anchor::middle, tip, false,
                 text_colour_on(colour));
    }
  // Names are thinned where they would run into each other.
  size_t name_width = 1;
  for (const std::string& name : map.columns)
    name_width = std::max(name_width, static_cast<size_t>(count_characters(name)));
  const auto each = [](double wanted, double size) {
    return std::max<size_t>(1, static_cast<size_t>(std::ceil(wanted / size)));
  };
  const size_t each_column = each(7.5 * static_cast<double>(name_width) + 6, cell_width);
  for (size_t c = 0; c < columns; c += each_column)
    svg.text({left + cell_width * (static_cast<double>(c) + 0.5), kTop + high + 15}, map.columns[c],
             "tick", Anchor::middle);
  const size_t each_row = each(13, cell_height);
  for (size_t r = 0; r < rows; r += each_row)
    svg.text({left - 6, kTop + cell_height * (static_cast<double>(r) + 0.5) + 4},
             clip_text(map.rows[r], 16), "tick", Anchor::end);
  svg.text({std::max(left + wide / 2, left + text_width(map.x_title, 12) / 2), kTop + high + 34},
           map.x_title, "title", Anchor::middle);
  svg.text({14, kTop + tall / 2}, map.y_title, "title", Anchor::middle, {}, true);
  draw_bar(svg, map, left + wide + 14, tall);
  return std::move(svg).finish();
}

}  // namespace limbeck
