#include "limbeck/eval/report/record_fields.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <cmath>

namespace limbeck {

using nlohmann::json;

RowFields::RowFields(const json& object, std::string_view what) : object_(object), what_(what) {
  if (!object.is_object())
    throw FormatError("{}: must be an object; found {}", what_, object.type_name());
}

const json& RowFields::at(const char* field) {
  const auto it = object_.find(field);
  if (it == object_.end()) throw FormatError("{}: field {} is missing", what_, field);
  asked_.insert(field);
  return *it;
}

const json& RowFields::list(const char* field) {
  const json& v = at(field);
  if (!v.is_array()) wrong_kind(field, "a list", v);
  return v;
}

std::string RowFields::text(const char* field) { return text_of(at(field), field); }

std::string RowFields::name(const char* field) {
  std::string out = text(field);
  if (out.empty()) throw FormatError("{}: field {} must not be empty", what_, field);
  return out;
}

bool RowFields::boolean(const char* field) {
  const json& v = at(field);
  if (!v.is_boolean()) wrong_kind(field, "true or false", v);
  return v.get<bool>();
}

int64_t RowFields::count(const char* field) { return count_of(at(field), field); }

double RowFields::number(const char* field) { return number_of(at(field), field); }

double RowFields::number_within(const char* field, double low, double high) {
  const double x = number(field);
  if (!(x >= low && x <= high))
    throw FormatError("{}: field {} must be a number in [{}, {}]; found {}", what_, field, low,
                      high, x);
  return x;
}

std::vector<std::string> RowFields::texts(const char* field) {
  std::vector<std::string> out;
  for (const json& v : list(field)) out.push_back(text_of(v, field));
  return out;
}

std::vector<int64_t> RowFields::counts(const char* field) {
  std::vector<int64_t> out;
  for (const json& v : list(field)) out.push_back(count_of(v, field));
  return out;
}

std::map<std::string, double> RowFields::numbers(const char* field) {
  const json& v = at(field);
  if (!v.is_object()) wrong_kind(field, "an object", v);
  std::map<std::string, double> out;
  for (const auto& [key, value] : v.items()) out[key] = number_of(value, field);
  return out;
}

StageSeconds RowFields::stages(const char* field) {
  StageSeconds out;
  for (const json& v : list(field)) {
    if (!v.is_array() || v.size() != 2) wrong_kind(field, "a list of [stage, seconds]", v);
    out.emplace_back(text_of(v[0], field), number_of(v[1], field));
  }
  return out;
}

std::string RowFields::place(const char* field, size_t i) const {
  return fmt::format("{}: {}[{}]", what_, field, i);
}

void RowFields::refuse_others(std::initializer_list<const char*> allowed) const {
  std::set<std::string> known = asked_;
  known.insert(allowed.begin(), allowed.end());
  for (const auto& [key, unused] : object_.items())
    if (!known.contains(key)) throw FormatError("{}: field {} is unknown", what_, quote(key));
}

void RowFields::wrong_kind(const char* field, const char* wanted, const json& found) const {
  throw FormatError("{}: field {} must be {}; found {}", what_, field, wanted, found.type_name());
}

std::string RowFields::text_of(const json& v, const char* field) const {
  if (!v.is_string()) wrong_kind(field, "a text", v);
  return v.get<std::string>();
}

int64_t RowFields::count_of(const json& v, const char* field) const {
  if (!v.is_number_integer()) wrong_kind(field, "a whole number", v);
  constexpr auto most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if ((v.is_number_unsigned() && v.get<uint64_t>() > most) ||
      (!v.is_number_unsigned() && v.get<int64_t>() < 0))
    throw FormatError("{}: field {} must be in [0, {}]; found {}", what_, field, most, v.dump());
  return v.get<int64_t>();
}

double RowFields::number_of(const json& v, const char* field) const {
  if (v.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!v.is_number()) wrong_kind(field, "a number or null", v);
  return v.get<double>();
}

nlohmann::ordered_json number_or_null(double x) {
  return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json();
}

}  // namespace limbeck
