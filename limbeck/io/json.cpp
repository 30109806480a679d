#include "limbeck/io/json.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace limbeck {
namespace {

using nlohmann::json;

/// Sees every event of a parse and throws at the first one that breaks a rule.
class Guard {
 public:
  Guard(std::string_view what, const JsonLimits& limits) : what_(what), limits_(limits) {}

  bool operator()(int /*depth*/, json::parse_event_t event, json& value) {
    switch (event) {
      case json::parse_event_t::object_start: enter(); break;
      case json::parse_event_t::array_start: enter(); break;
      case json::parse_event_t::object_end: keys_.pop_back(); break;
      case json::parse_event_t::array_end: keys_.pop_back(); break;
      case json::parse_event_t::key: add_key(value.get_ref<const std::string&>()); break;
      case json::parse_event_t::value: count(); break;
    }
    return true;
  }

 private:
  void enter() {
    count();
    if (static_cast<int64_t>(keys_.size()) >= limits_.max_depth) {
      throw FormatError("{}: nesting exceeds the cap of {} levels", what_, limits_.max_depth);
    }
    keys_.emplace_back();
  }
  void add_key(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      throw FormatError("{}: key {} appears twice in one object", what_, quote(key));
    }
  }
  void count() {
    if (++values_ > limits_.max_values) {
      throw FormatError("{}: number of values exceeds the cap of {}", what_, limits_.max_values);
    }
  }

  std::string_view what_;
  const JsonLimits& limits_;
  std::vector<std::set<std::string>> keys_;  // one set a level; lists leave theirs empty
  int64_t values_ = 0;
};

}  // namespace

void check_json_text(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.max_bytes) {
    throw FormatError("{}: text of {} bytes exceeds the cap of {}", what, text.size(),
                      limits.max_bytes);
  }
  if (const size_t at = text.find('\0'); at != std::string_view::npos) {
    throw FormatError("{}: no valid JSON; found a NUL byte at position {}", what, at);
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    throw FormatError("{}: no valid JSON; found a byte order mark at position 0", what);
  }
}

nlohmann::json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  check_json_text(text, what, limits);
  try {
    Guard guard(what, limits);
    return json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const json::parse_error& error) {
    // Its text quotes the input at any length; the position is what a person can use.
    const auto lines = std::count(text.begin(), text.end(), '\n');
    const std::string_view before = text.substr(0, std::max<size_t>(error.byte, 1) - 1);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    throw FormatError("{}: no valid JSON; the error is at byte {} of {}{}", what, error.byte,
                      text.size(), lines > 0 ? fmt::format(", line {}", line) : "");
  } catch (const json::exception& error) {
    throw FormatError("{}: no valid JSON; error {} of the parser", what, error.id);
  }
}

}  // namespace limbeck
