/// JSON in and out of template values, as Python's json module reads and writes it.
#pragma once

#include "limbeck/text/jinja_value.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace limbeck::jinja {

/// Strings become input. Throws Fault for nesting beyond kMaxDepth and integers beyond 64 bits.
Value from_json(const nlohmann::json& json);
Value from_json(const nlohmann::ordered_json& json);  ///< keeps the order of keys

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< of one level; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

/// Throws Fault for values without a JSON form and for texts beyond kMaxTextBytes.
std::string to_json(const Value& value, const JsonStyle& style = {});

}  // namespace limbeck::jinja
