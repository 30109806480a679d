#include "limbeck/base/options.h"

#include <algorithm>
#include <charconv>

namespace limbeck {

bool Range::contains(double x) const {
  if (!std::isfinite(x)) return false;
  return (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high);
}

std::string Range::text() const {
  if (std::isinf(low) && std::isinf(high)) return "the finite numbers";
  return fmt::format("{}{}, {}{}", low_open ? "(" : "[", detail::number_text(low),
                     detail::number_text(high), high_open || std::isinf(high) ? ")" : "]");
}

bool OneOf::contains(std::string_view word) const {
  return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

std::string OneOf::text() const { return fmt::format("{}", fmt::join(words, "|")); }

namespace detail {

bool parse_bool(std::string_view field, std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  throw InvalidArgument("[options] {} must be true or false; found \"{}\"", field, text);
}

int64_t parse_int(std::string_view field, std::string_view text) {
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size())
    throw InvalidArgument("[options] {} must be a whole number; found \"{}\"", field, text);
  return value;
}

double parse_number(std::string_view field, std::string_view text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw InvalidArgument("[options] {} must be a finite number; found \"{}\"", field, text);
  return value;
}

std::string number_text(double x) {
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return fmt::format("{}", x);
}

}  // namespace detail
}  // namespace limbeck
