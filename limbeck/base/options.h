/// Options: a struct lists its fields once; flags, help, JSON and validation are visitors over it.
///
///   struct SnapOptions {
///     double ratio = 0.25;
///     template <class V> void for_each_field(V&& v) {
///       v("ratio", ratio, open_closed(0.0, 1.0), "fraction of KV entries kept");
///     }
///   };
///
/// Field types: bool, int64_t, double, std::string. Non-goals: nested structs, positional
/// arguments.
#pragma once

#include "limbeck/base/error.h"

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace limbeck {

/// An interval that a number must lie in. `text()` gives "(0, 1]".
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;
  bool high_open = false;
  bool contains(double x) const;
  std::string text() const;
};
inline Range closed(double low, double high) { return {low, high, false, false}; }
inline Range open_closed(double low, double high) { return {low, high, true, false}; }
inline Range at_least(double low) {
  return {low, std::numeric_limits<double>::infinity(), false, true};
}
inline Range any_number() { return {}; }

/// The words that a string option may be; an empty list allows every text.
struct OneOf {
  std::vector<std::string> words;
  bool contains(std::string_view word) const;
  std::string text() const;
};
inline OneOf one_of(std::initializer_list<std::string> words) { return {words}; }
inline OneOf any_text() { return {}; }

/// What a program may show of one field.
struct FieldInfo {
  std::string name;
  std::string type;           ///< "bool", "int", "number", "text"
  std::string default_value;  ///< as text
  std::string allowed;        ///< "(0, 1]", "first|second", or empty
  std::string help;
};

namespace detail {
bool parse_bool(std::string_view field, std::string_view text);
int64_t parse_int(std::string_view field, std::string_view text);
double parse_number(std::string_view field, std::string_view text);
std::string number_text(double x);

template <class T>
std::string value_text(const T& value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else if constexpr (std::is_same_v<T, double>)
    return number_text(value);
  else if constexpr (std::is_same_v<T, std::string>)
    return value;
  else
    return std::to_string(value);
}
}  // namespace detail

/// Throws InvalidArgument naming `owner`, the field, the rule and the value when one is out of
/// range.
template <class Options>
void options_validate(std::string_view owner, const Options& options) {
  Options copy = options;
  copy.for_each_field(
      [&](std::string_view name, const auto& value, const auto& allowed, std::string_view) {
        using T = std::decay_t<decltype(value)>;
        bool good = true;
        if constexpr (std::is_same_v<T, bool>) {
          (void)allowed;
        } else if constexpr (std::is_same_v<T, std::string>) {
          good = allowed.contains(value);
        } else {
          good = allowed.contains(static_cast<double>(value));
        }
        if constexpr (!std::is_same_v<T, bool>) {
          if (!good)
            throw InvalidArgument("[{}] {} must be {} {}; found {}", owner, name,
                                  std::is_same_v<T, std::string> ? "one of" : "in", allowed.text(),
                                  detail::value_text(value));
        }
      });
}

/// Sets fields by name from texts, then validates. Unknown names are errors that list the known
/// ones.
template <class Options>
Options options_from_texts(std::string_view owner, const std::map<std::string, std::string>& texts,
                           Options options = {}) {
  std::map<std::string, std::string> left = texts;
  std::string known;
  options.for_each_field([&](std::string_view name, auto& value, const auto&, std::string_view) {
    known += (known.empty() ? "" : ", ") + std::string(name);
    auto it = left.find(std::string(name));
    if (it == left.end()) return;
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, bool>)
      value = detail::parse_bool(name, it->second);
    else if constexpr (std::is_same_v<T, std::string>)
      value = it->second;
    else if constexpr (std::is_same_v<T, double>)
      value = detail::parse_number(name, it->second);
    else
      value = static_cast<T>(detail::parse_int(name, it->second));
    left.erase(it);
  });
  if (!left.empty())
    throw InvalidArgument("[{}] unknown option \"{}\"; known: {}", owner, left.begin()->first,
                          known.empty() ? "none" : known);
  options_validate(owner, options);
  return options;
}

/// All fields as texts, for records in files.
template <class Options>
std::map<std::string, std::string> options_to_texts(Options options) {
  std::map<std::string, std::string> out;
  options.for_each_field([&](std::string_view name, auto& value, const auto&, std::string_view) {
    out[std::string(name)] = detail::value_text(value);
  });
  return out;
}

/// One row a field, with defaults, for help texts and generated tables.
template <class Options>
std::vector<FieldInfo> options_describe(Options defaults = {}) {
  std::vector<FieldInfo> out;
  defaults.for_each_field([&](std::string_view name, auto& value, const auto& allowed,
                              std::string_view help) {
    using T = std::decay_t<decltype(value)>;
    const char* type = std::is_same_v<T, bool>          ? "bool"
                       : std::is_same_v<T, std::string> ? "text"
                       : std::is_same_v<T, double>      ? "number"
                                                        : "int";
    std::string rule;
    if constexpr (!std::is_same_v<T, bool>) rule = allowed.text();
    out.push_back({std::string(name), type, detail::value_text(value), rule, std::string(help)});
  });
  return out;
}

/// The `allowed` argument of a bool field, which needs none.
struct NoRule {};
inline NoRule yes_or_no() { return {}; }

}  // namespace limbeck
