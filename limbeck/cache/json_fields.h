/// Fields of a JSON object out of an untrusted file, each with its type and range. Private to
/// cache/.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// A view of one object. `what` starts every error text ("[kvc.load] book.kvc"), `where` is the
/// path to the object ("segments[2].", empty for the document). All members throw FormatError
/// naming the field, the rule and what was found.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string_view what, std::string where);

  const nlohmann::json& need(std::string_view key) const;
  JsonFields object(std::string_view key) const;
  const nlohmann::json& list(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  /// A finite number, or one of the texts "nan", "inf", "-inf".
  double number(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::string text(std::string_view key) const;
  /// A text; null reads as empty.
  std::string text_or_null(std::string_view key) const;
  std::map<std::string, std::string> texts(std::string_view key) const;
  std::map<std::string, double> numbers(std::string_view key) const;
  std::vector<std::string> text_list(std::string_view key) const;

  /// "[kvc.load] book.kvc: field segments[2].begin"
  std::string name(std::string_view key) const;
  std::string_view what() const { return what_; }
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string_view what_;
  std::string where_;
};

/// The integer of a value in [low, high]; `name` as in JsonFields::name.
int64_t json_integer(const nlohmann::json& value, std::string_view name, int64_t low, int64_t high);

/// The inverse of JsonFields::number.
nlohmann::json json_number(double value);

}  // namespace limbeck
