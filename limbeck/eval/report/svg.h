/// Small helpers for figures as SVG inside a page: elements, scales with round ticks, marks.
///
/// Colours and fonts come from classes of the page's style sheet, so that one figure serves light
/// and dark; only heat cells carry a colour. Every foreign text is escaped here. Units: pixels.
/// Non-goals: scripts, animation, reading SVG.
#pragma once

#include "limbeck/eval/report/colours.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck {

struct Place {
  double x = 0, y = 0;
};

enum class Anchor { start, middle, end };

class Svg {
 public:
  /// `label` is what a screen reader says.
  Svg(double width, double height, std::string_view label);
  void line(Place a, Place b, std::string_view css_class);
  void rect(Place corner, double width, double height, std::string_view css_class,
            std::string_view tip = {}, std::optional<Rgb> fill = {});
  /// `tip` shows under the pointer. `turned`: reads upwards.
  void text(Place at, std::string_view text, std::string_view css_class,
            Anchor anchor = Anchor::start, std::string_view tip = {}, bool turned = false,
            std::optional<Rgb> fill = {});
  void polyline(const std::vector<Place>& places, std::string_view css_class);
  void polygon(const std::vector<Place>& places, std::string_view css_class);
  /// Shape `shape` (modulo kMarks) around a place; from kMarks on hollow.
  void mark(int64_t shape, Place at, std::string_view css_class, std::string_view tip = {});
  std::string finish() &&;

 private:
  void close(std::string_view element, std::string_view tip);
  std::string out_;
};

inline constexpr int64_t kMarks = 7;

/// Values to pixels.
class Scale {
 public:
  /// `low` < `high`; for a logarithmic scale both above 0. Throws InvalidArgument otherwise.
  Scale(bool logarithmic, double low, double high, double from, double to);
  double operator()(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  /// Ascending round numbers within the scale, at least two and about `wanted` at most.
  std::vector<double> ticks(int wanted) const;

 private:
  bool logarithmic_;
  double low_, high_, from_, to_;
};

/// The scale that shows all of the values with some room; within [least, most]. Values must be
/// finite, and above 0 for a logarithmic scale.
Scale scale_around(bool logarithmic, const std::vector<double>& values, double from, double to,
                   double least, double most);

/// "0.25", "20", "1500": as many digits as the ticks' step needs.
std::string tick_text(double value);
/// A width that the text does not exceed in the page's font at `size` pixels, roughly.
double text_width(std::string_view text, double size);

}  // namespace limbeck
