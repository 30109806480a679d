#include "limbeck/eval/report/svg.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/escape.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

/// One decimal is a tenth of a pixel; -0.0 would depend on rounding.
std::string px(double x) {
  std::string out = fmt::format("{:.1f}", x);
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out == "-0" ? "0" : out;
}

std::string points(const std::vector<Place>& places) {
  std::string out;
  for (const Place& p : places)
    out += fmt::format("{}{},{}", out.empty() ? "" : " ", px(p.x), px(p.y));
  return out;
}

/// Outline of a mark around the origin; empty for the circle, which is an element of its own.
std::string mark_path(int64_t shape) {
  switch (shape) {
    case 1: return "M-4 -4H4V4H-4Z";
    case 2: return "M0 -5L5 4H-5Z";
    case 3: return "M0 -5.5L5 0L0 5.5L-5 0Z";
    case 4: return "M0 5L5 -4H-5Z";
    case 5: return "M-1.5 -5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z";
    case 6: return "M0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0L-5 -3L-3 -5Z";
    default: return "";
  }
}

/// 1, 2 or 5 times a power of ten, at least x.
double round_step(double x) {
  const double power = std::pow(10, std::floor(std::log10(x)));
  for (const double f : {1.0, 2.0, 5.0})
    if (f * power >= x * (1 - 1e-9)) return f * power;
  return 10 * power;
}

std::vector<double> multiples(double step, double low, double high) {
  std::vector<double> out;
  // Multiplied, not added up: ticks stay exact, and -0.0 becomes 0.0.
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    out.push_back(k * step + 0.0);
  return out;
}

std::vector<double> decades(const std::vector<double>& factors, double low, double high) {
  std::vector<double> out;
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
    for (const double f : factors)
      if (f * power >= low * (1 - 1e-9) && f * power <= high * (1 + 1e-9)) out.push_back(f * power);
  return out;
}

}  // namespace

Svg::Svg(double width, double height, std::string_view label) {
  out_ = fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
      "aria-label=\"{2}\">\n",
      px(width), px(height), escape_html(label));
}

void Svg::close(std::string_view element, std::string_view tip) {
  if (tip.empty())
    out_ += "/>\n";
  else
    out_ += fmt::format("><title>{}</title></{}>\n", escape_html(tip), element);
}

void Svg::line(Place a, Place b, std::string_view css_class) {
  out_ += fmt::format("<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", css_class,
                      px(a.x), px(a.y), px(b.x), px(b.y));
}

void Svg::rect(Place corner, double width, double height, std::string_view css_class,
               std::string_view tip, std::optional<Rgb> fill) {
  out_ += fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}",
                      css_class, px(corner.x), px(corner.y), px(width), px(height),
                      fill ? " fill=\"" + css_colour(*fill) + "\"" : "");
  close("rect", tip);
}

void Svg::text(Place at, std::string_view text, std::string_view css_class, Anchor anchor,
               std::string_view tip, bool turned, std::optional<Rgb> fill) {
  const char* anchors[] = {"start", "middle", "end"};
  out_ +=
      fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\"{}{}>", css_class,
                  px(at.x), px(at.y), anchors[static_cast<int>(anchor)],
                  turned ? fmt::format(" transform=\"rotate(-90 {} {})\"", px(at.x), px(at.y)) : "",
                  fill ? " fill=\"" + css_colour(*fill) + "\"" : "");
  if (!tip.empty()) out_ += fmt::format("<title>{}</title>", escape_html(tip));
  out_ += escape_html(text) + "</text>\n";
}

void Svg::polyline(const std::vector<Place>& places, std::string_view css_class) {
  out_ += fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", css_class, points(places));
}

void Svg::polygon(const std::vector<Place>& places, std::string_view css_class) {
  out_ += fmt::format("<polygon class=\"{}\" points=\"{}\"/>\n", css_class, points(places));
}

void Svg::mark(int64_t shape, Place at, std::string_view css_class, std::string_view tip) {
  const std::string path = mark_path(shape % kMarks);
  const char* hollow = (shape / kMarks) % 2 == 1 ? " hollow" : "";
  if (path.empty()) {
    out_ += fmt::format("<circle class=\"mark {}{}\" cx=\"{}\" cy=\"{}\" r=\"4.5\"", css_class,
                        hollow, px(at.x), px(at.y));
    close("circle", tip);
  } else {
    out_ += fmt::format("<path class=\"mark {}{}\" transform=\"translate({} {})\" d=\"{}\"",
                        css_class, hollow, px(at.x), px(at.y), path);
    close("path", tip);
  }
}

std::string Svg::finish() && { return std::move(out_) + "</svg>\n"; }

Scale::Scale(bool logarithmic, double low, double high, double from, double to)
    : logarithmic_(logarithmic), low_(low), high_(high), from_(from), to_(to) {
  if (!(low < high) || !std::isfinite(high - low) || (logarithmic && low <= 0))
    throw InvalidArgument(
        "[figure] a scale needs low < high, above 0 when logarithmic; found {}, {}", low, high);
}

double Scale::operator()(double value) const {
  const double part = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                   : (value - low_) / (high_ - low_);
  return from_ + part * (to_ - from_);
}

std::vector<double> Scale::ticks(int wanted) const {
  const double step = round_step((high_ - low_) / wanted);
  if (!logarithmic_) {
    std::vector<double> out = multiples(step, low_, high_);
    return out.size() >= 2 ? out : multiples(step / 2, low_, high_);
  }
  for (const std::vector<double>& factors :
       {std::vector<double>{1, 2, 5}, std::vector<double>{1, 3}, std::vector<double>{1}}) {
    std::vector<double> out = decades(factors, low_, high_);
    if (out.size() >= 3 && out.size() <= static_cast<size_t>(wanted) + 1) return out;
  }
  const std::vector<double> whole = decades({1}, low_, high_);
  if (whole.size() > static_cast<size_t>(wanted)) {
    std::vector<double> out;
    const size_t each = (whole.size() + static_cast<size_t>(wanted) - 1) / wanted;
    for (size_t i = 0; i < whole.size(); i += each) out.push_back(whole[i]);
    return out;
  }
  // Less than a decade: equal steps say more than 1-2-5.
  std::vector<double> out = multiples(step, low_, high_);
  return out.size() >= 2 ? out : multiples(step / 2, low_, high_);
}

Scale scale_around(bool logarithmic, const std::vector<double>& values, double from, double to,
                   double least, double most) {
  double low = values.empty() ? 1 : *std::min_element(values.begin(), values.end());
  double high = values.empty() ? 2 : *std::max_element(values.begin(), values.end());
  if (logarithmic) {
    const double room = std::max(1.15, std::pow(high / low, 0.06));
    return {true, low / room, high * room, from, to};
  }
  if (high - low < 1e-9 * std::max(1.0, std::abs(high))) {
    const double room = high == 0 ? 1 : std::abs(high) * 0.1;
    low -= room;
    high += room;
  }
  const double step = round_step((high - low) / 6);
  // Half a step of room, then up to the next round number.
  low = std::max(least, std::floor((low - 0.3 * step) / step) * step);
  high = std::min(most, std::ceil((high + 0.3 * step) / step) * step);
  if (!(low < high)) return {false, low - 1, low + 1, from, to};
  return {false, low, high, from, to};
}

std::string tick_text(double value) {
  return std::abs(value) >= 1e-4 || value == 0 ? fmt::format("{:.6g}", value)
                                               : fmt::format("{:.0e}", value);
}

double text_width(std::string_view text, double size) {
  return 0.62 * size * static_cast<double>(count_characters(text));
}

}  // namespace limbeck
