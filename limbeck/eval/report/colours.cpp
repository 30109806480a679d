#include "limbeck/eval/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace limbeck {
namespace {

struct Linear {
  double r, g, b;
  bool in_gamut() const {
    const auto good = [](double x) { return x >= -1e-4 && x <= 1 + 1e-4; };
    return good(r) && good(g) && good(b);
  }
};

Linear from_oklab(double lightness, double a, double b) {
  const auto cube = [](double x) { return x * x * x; };
  const double l = cube(lightness + 0.3963377774 * a + 0.2158037573 * b);
  const double m = cube(lightness - 0.1055613458 * a - 0.0638541728 * b);
  const double s = cube(lightness - 0.0894841775 * a - 1.2914855480 * b);
  return {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
          -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
          -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
}

uint8_t encode(double linear) {
  const double x = std::clamp(linear, 0.0, 1.0);
  const double y = x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
  return static_cast<uint8_t>(std::lround(255 * y));
}

double decode(uint8_t value) {
  const double x = value / 255.0;
  return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
}

}  // namespace

std::string css_colour(Rgb c) { return fmt::format("#{:02x}{:02x}{:02x}", c.r, c.g, c.b); }

double luminance(Rgb c) {
  return 0.2126 * decode(c.r) + 0.7152 * decode(c.g) + 0.0722 * decode(c.b);
}

double contrast(Rgb a, Rgb b) {
  const double x = luminance(a) + 0.05, y = luminance(b) + 0.05;
  return std::max(x, y) / std::min(x, y);
}

Rgb oklch(double lightness, double chroma, double hue) {
  const double angle = hue * std::numbers::pi / 180;
  Linear c{};
  // Less chroma keeps lightness, on which order rests; clipping would not.
  for (double left = chroma;; left = std::max(0.0, left - 0.002)) {
    c = from_oklab(lightness, left * std::cos(angle), left * std::sin(angle));
    if (c.in_gamut() || left == 0) break;
  }
  return {encode(c.r), encode(c.g), encode(c.b)};
}

Rgb scale_colour(double t) {
  if (!std::isfinite(t)) return oklch(0.6, 0, 0);
  const double x = std::clamp(t, 0.0, 1.0);
  return oklch(0.28 + 0.66 * x, 0.13, 290 - 185 * x);
}

Rgb text_colour_on(Rgb background) {
  const Rgb black{0, 0, 0}, white{255, 255, 255};
  return contrast(background, black) >= contrast(background, white) ? black : white;
}

Rgb series_colour(int64_t i, bool dark) {
  // Neighbours in this order are far apart on the wheel.
  constexpr double hues[kHues] = {255, 45, 150, 325, 95, 205, 15, 290};
  const double hue = hues[((i % kHues) + kHues) % kHues];
  return dark ? oklch(0.78, 0.13, hue) : oklch(0.52, 0.16, hue);
}

}  // namespace limbeck
