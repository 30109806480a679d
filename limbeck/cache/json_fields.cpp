#include "limbeck/cache/json_fields.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <optional>

namespace limbeck {
namespace {

using nlohmann::json;

/// What was found, short enough for an error text.
std::string shown(const json& value) {
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  return value.dump();
}

std::optional<double> number_of(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

}  // namespace

JsonFields::JsonFields(const json& object, std::string_view what, std::string where)
    : object_(object), what_(what), where_(std::move(where)) {
  if (object_.is_object()) return;
  const std::string place =
      where_.empty() ? "the document" : "field " + where_.substr(0, where_.size() - 1);
  throw FormatError("{}: {} must be an object; found {}", what_, place, shown(object_));
}

std::string JsonFields::name(std::string_view key) const {
  return fmt::format("{}: field {}{}", what_, where_, key);
}

const json& JsonFields::need(std::string_view key) const {
  const auto found = object_.find(key);
  if (found == object_.end()) throw FormatError("{} is missing", name(key));
  return *found;
}

JsonFields JsonFields::object(std::string_view key) const {
  return {need(key), what_, fmt::format("{}{}.", where_, key)};
}

const json& JsonFields::list(std::string_view key) const {
  const json& value = need(key);
  if (!value.is_array()) throw FormatError("{} must be a list; found {}", name(key), shown(value));
  return value;
}

int64_t JsonFields::integer(std::string_view key, int64_t low, int64_t high) const {
  return json_integer(need(key), name(key), low, high);
}

double JsonFields::number(std::string_view key) const {
  const json& value = need(key);
  if (const auto number = number_of(value)) return *number;
  throw FormatError("{} must be a number; found {}", name(key), shown(value));
}

bool JsonFields::flag(std::string_view key) const {
  const json& value = need(key);
  if (!value.is_boolean())
    throw FormatError("{} must be true or false; found {}", name(key), shown(value));
  return value.get<bool>();
}

std::string JsonFields::text(std::string_view key) const {
  const json& value = need(key);
  if (!value.is_string()) throw FormatError("{} must be a text; found {}", name(key), shown(value));
  return value.get<std::string>();
}

std::string JsonFields::text_or_null(std::string_view key) const {
  return need(key).is_null() ? std::string() : text(key);
}

std::map<std::string, std::string> JsonFields::texts(std::string_view key) const {
  const JsonFields fields = object(key);
  std::map<std::string, std::string> out;
  for (const auto& entry : fields.object_.items()) out[entry.key()] = fields.text(entry.key());
  return out;
}

std::map<std::string, double> JsonFields::numbers(std::string_view key) const {
  const JsonFields fields = object(key);
  std::map<std::string, double> out;
  for (const auto& entry : fields.object_.items()) out[entry.key()] = fields.number(entry.key());
  return out;
}

std::vector<std::string> JsonFields::text_list(std::string_view key) const {
  std::vector<std::string> out;
  for (const json& value : list(key)) {
    if (!value.is_string())
      throw FormatError("{}[{}] must be a text; found {}", name(key), out.size(), shown(value));
    out.push_back(value.get<std::string>());
  }
  return out;
}

int64_t json_integer(const json& value, std::string_view name, int64_t low, int64_t high) {
  // Unsigned numbers above 2^63 would turn negative.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
  const int64_t number = fits ? value.get<int64_t>() : 0;
  if (!fits || number < low || number > high)
    throw FormatError("{} must be an integer in [{}, {}]; found {}", name, low, high, shown(value));
  return number;
}

json json_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

}  // namespace limbeck
