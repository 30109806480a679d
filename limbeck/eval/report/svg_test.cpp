#include "limbeck/eval/report/svg.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/chart.h"
#include "limbeck/eval/report/heat_map.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(ColoursTest, TheScaleGrowsLighterAllTheWayAndTextReadsOnIt) {
  double last = -1;
  for (int i = 0; i <= 100; ++i) {
    const Rgb c = scale_colour(i / 100.0);
    EXPECT_GT(luminance(c), last) << i;
    last = luminance(c);
    EXPECT_GE(contrast(c, text_colour_on(c)), 4.5) << i;
  }
  EXPECT_EQ(css_colour(scale_colour(kNan)), css_colour(oklch(0.6, 0, 0)));
}

TEST(ColoursTest, SeriesStandOutOnTheirPage) {
  for (int64_t i = 0; i < kHues; ++i) {
    EXPECT_GE(contrast(series_colour(i, false), kLightPage), 4.5) << i;
    EXPECT_GE(contrast(series_colour(i, true), kDarkPage), 4.5) << i;
  }
  EXPECT_EQ(css_colour(series_colour(kHues, true)), css_colour(series_colour(0, true)));
}

TEST(ColoursTest, KnownColours) {
  EXPECT_EQ(css_colour(oklch(1, 0, 0)), "#ffffff");
  EXPECT_EQ(css_colour(oklch(0, 0, 0)), "#000000");
  EXPECT_EQ(css_colour(oklch(0.62796, 0.25768, 29.234)), "#ff0000");
  EXPECT_DOUBLE_EQ(contrast({0, 0, 0}, {255, 255, 255}), 21);
}

TEST(ScaleTest, MapsItsEndsAndTheMiddle) {
  const Scale linear(false, 10, 30, 100, 0), log(true, 1, 100, 0, 50);
  EXPECT_DOUBLE_EQ(linear(10), 100);
  EXPECT_DOUBLE_EQ(linear(20), 50);
  EXPECT_DOUBLE_EQ(log(10), 25);
  EXPECT_THROW(Scale(false, 1, 1, 0, 1), InvalidArgument);
  EXPECT_THROW(Scale(true, 0, 1, 0, 1), InvalidArgument);
}

TEST(ScaleTest, TicksAreRoundNumbers) {
  EXPECT_EQ(Scale(false, 0, 100, 0, 1).ticks(5), (std::vector<double>{0, 20, 40, 60, 80, 100}));
  EXPECT_EQ(Scale(true, 0.9, 110, 0, 1).ticks(8), (std::vector<double>{1, 2, 5, 10, 20, 50, 100}));
  EXPECT_EQ(Scale(true, 1e-6, 1, 0, 1).ticks(8).size(), 7U);
  EXPECT_EQ(Scale(true, 11, 19, 0, 1).ticks(8),
            (std::vector<double>{11, 12, 13, 14, 15, 16, 17, 18, 19}));
  for (double low = 1e-7; low < 1e7; low *= 3.7)
    for (const double factor : {1.001, 1.3, 2.0, 17.0, 1e4, 1e9}) {
      const auto ticks = Scale(true, low, low * factor, 0, 1).ticks(8);
      EXPECT_GE(ticks.size(), 2U) << low << " " << factor;
      EXPECT_LE(ticks.size(), 11U) << low << " " << factor;
      EXPECT_GE(Scale(false, low, low * factor, 0, 1).ticks(8).size(), 2U);
    }
}

TEST(ScaleTest, RoomAroundValuesStaysWithinTheBounds) {
  const Scale s = scale_around(false, {3, 99.5}, 0, 1, 0, 100);
  EXPECT_EQ(s.low(), 0);
  EXPECT_EQ(s.high(), 100);
  const Scale same = scale_around(false, {100, 100}, 0, 1, 0, 100);
  EXPECT_LT(same.low(), 100);
  EXPECT_LT(scale_around(true, {5}, 0, 1, 0, 0).low(), 5);
}

TEST(SvgTest, EscapesForeignTexts) {
  Svg svg(10, 10, "\"><script>");
  svg.text({1, 1}, "<b>", "x", Anchor::start, "'&'");
  const std::string text = std::move(svg).finish();
  EXPECT_EQ(text.find("<script>"), std::string::npos);
  EXPECT_NE(text.find("<title>&#39;&amp;&#39;</title>&lt;b&gt;</text>"), std::string::npos);
}

TEST(ChartTest, TheFrontIsWhatNobodyBeats) {
  const std::vector<Place> points{{4, 90}, {1, 50}, {2, 40}, {2, 70}, {4, 90}, {3, 70}, {5, 80}};
  EXPECT_EQ(pareto_front(points), (std::vector<size_t>{1, 3, 0}));
  EXPECT_TRUE(pareto_front({}).empty());
}

TEST(ChartTest, DrawsPointsThatCanBeDrawn) {
  Chart chart;
  chart.label = "a label";
  chart.x_log = true;
  chart.front = true;
  chart.series = {{"one", 0, false, {{1, 50, 40, 60, "first"}, {10, 90, kNan, kNan, "second"}}},
                  {"floor", 8, true, {{0, 5}, {2, kNan}, {3, 20, kNan, kNan, "third"}}}};
  chart.lines = {{"full cache", 95, "full"}};
  const std::string svg = chart_svg(chart);
  EXPECT_EQ(count(svg, "<title>first</title>"), 1U);
  EXPECT_EQ(count(svg, "<title>third</title>"), 1U);
  EXPECT_EQ(count(svg, "class=\"mark"), 5U);  // two of them in the legend
  EXPECT_EQ(count(svg, "class=\"whisker"), 1U);
  EXPECT_EQ(count(svg, "<polyline class=\"front\""), 1U);
  EXPECT_EQ(count(svg, "nan"), 0U);
  EXPECT_EQ(count(svg, "inf"), 0U);
  chart.series = {{"tiny", 0, false, {{1e-323, 5}, {1.5e-323, 6}}}};  // no end of decades
  EXPECT_EQ(chart_svg(chart), "");
  chart.series = {{"none", 0, false, {{0, 5}}}};
  EXPECT_EQ(chart_svg(chart), "");
}

TEST(ChartTest, FansShareTheirAxes) {
  const std::vector<Fan> fans{{"one", 0, {{1, 0.01, 0.1, 1, "a"}, {10, 0, 0.01, 0.1, "b"}}},
                              {"two", 1, {{kNan, 1, 1, 1}}}};
  const std::string svg = fans_svg("KL", fans, "MiB", "nats");
  EXPECT_EQ(count(svg, "<polygon"), 2U);
  EXPECT_EQ(count(svg, "nan"), 0U);
  EXPECT_EQ(fans_svg("KL", {}, "MiB", "nats"), "");
  EXPECT_EQ(count(fans_svg("KL", {{{"tiny", 0, {{1, 1e-323, 1e-323, 1e-323, ""}}}}}, "MiB", "nats"),
                  "nan"),
            0U);
}

TEST(HeatMapTest, ShowsNumbersUpToTwentyByTwenty) {
  HeatMap map{"m", "x", "y", {"1", "2"}, {"a", "b"}, {{0, 1}, {kNan, 0.5}}, 0, 1, 1};
  std::string svg = heat_map_svg(map);
  EXPECT_EQ(count(svg, "class=\"number\""), 3U);
  EXPECT_EQ(count(svg, "class=\"missing\""), 1U);
  EXPECT_NE(svg.find("y b, x 2: 0.5"), std::string::npos);
  map.columns.assign(21, "c");
  map.values.assign(2, std::vector<double>(21, 0.5));
  svg = heat_map_svg(map);
  EXPECT_EQ(count(svg, "class=\"number\""), 0U);
  EXPECT_EQ(count(svg, "class=\"cell\""), 42U);
  map.values.pop_back();
  EXPECT_THROW(heat_map_svg(map), InvalidArgument);
}

TEST(HeatMapTest, ALogarithmicScaleHasItsMiddleAtTheGeometricMean) {
  HeatMap map{"m", "x", "y", {"1", "2", "3"}, {"a"}, {{0, 40, 1600}}, 1, 1600, 0, true};
  const std::string svg = heat_map_svg(map);
  for (const auto& [t, value] : {std::pair{0.0, "0"}, {0.5, "40"}, {1.0, "1600"}})
    EXPECT_NE(svg.find(fmt::format("fill=\"{}\"><title>y a, x", css_colour(scale_colour(t)))),
              std::string::npos)
        << value << svg;
  map.low = 0;
  EXPECT_THROW(heat_map_svg(map), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
