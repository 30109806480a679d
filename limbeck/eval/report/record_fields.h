/// Strict reading of one JSON object: every error names the place, the field and the rule.
///
/// Goals: nothing is converted in silence (1.0 is no count, 1 no boolean), nobody's misspelt field
/// is passed over. Non-goals: defaults; a field is there or the object is refused.
#pragma once

#include "limbeck/base/timing.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Takes the fields out of an object, which outlives it, and knows in the end which nobody asked
/// for. All functions throw FormatError.
class RowFields {
 public:
  /// `what` is the place in errors: "[samples] samples.jsonl:12".
  RowFields(const nlohmann::json& object, std::string_view what);

  const nlohmann::json& at(const char* field);
  const nlohmann::json& list(const char* field);
  std::string text(const char* field);
  std::string name(const char* field);  ///< a text that is not empty
  bool boolean(const char* field);
  int64_t count(const char* field);  ///< whole, 0 or more
  double number(const char* field);  ///< null is NaN, which JSON does not have
  double number_within(const char* field, double low, double high);  ///< never NaN
  std::vector<std::string> texts(const char* field);
  std::vector<int64_t> counts(const char* field);
  std::map<std::string, double> numbers(const char* field);
  StageSeconds stages(const char* field);  ///< list of [name, number]
  /// Place of entry i of a list, for its own reader.
  std::string place(const char* field, size_t i) const;
  void refuse_others(std::initializer_list<const char*> allowed = {}) const;

 private:
  [[noreturn]] void wrong_kind(const char* field, const char* wanted,
                               const nlohmann::json& found) const;
  std::string text_of(const nlohmann::json& v, const char* field) const;
  int64_t count_of(const nlohmann::json& v, const char* field) const;
  double number_of(const nlohmann::json& v, const char* field) const;

  const nlohmann::json& object_;
  std::string what_;
  std::set<std::string> asked_;
};

inline constexpr double kHugeNumber = std::numeric_limits<double>::max();

/// The number, or null for what JSON has no number for.
nlohmann::ordered_json number_or_null(double x);

}  // namespace limbeck
