// Global functions and string formatting.
#include "limbeck/text/jinja_arguments.h"
#include "limbeck/text/jinja_operators.h"

#include <algorithm>
#include <array>
#include <utility>

namespace limbeck::jinja {
namespace {

Value range(Interpreter& interpreter, const CallArgs& args) {
  const Bound bound("range", args, {"start", "stop", "step"}, 1);
  const int64_t first = bound.integer(0, 0), second = bound.integer(1, 0),
                step = bound.integer(2, 1);
  const int64_t begin = bound.get(1) ? first : 0, end = bound.get(1) ? second : first;
  if (step == 0) throw Fault("the step of range must not be zero; found 0");
  std::vector<Value> items;
  for (int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (std::cmp_greater_equal(items.size(), kMaxRange)) {
      throw Fault("range has at most {} items; found more", kMaxRange);
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  interpreter.charge(items.size() / 16);
  return Value::list(std::move(items));
}

std::vector<std::pair<Value, Value>> entries_of(Interpreter& interpreter, const CallArgs& args,
                                                std::string_view function) {
  std::vector<std::pair<Value, Value>> entries;
  if (args.positional.size() > 1)
    throw Fault("{} takes one mapping; found {}", function, args.positional.size());
  if (!args.positional.empty()) {
    const Dict* dict = args.positional[0].as_dict();
    if (!dict)
      throw Fault("{} takes a mapping; found {}", function, args.positional[0].type_name());
    entries = dict->entries;
  }
  for (const auto& [name, value] : args.named) {
    interpreter.charge(entries.size() / 64);
    const auto known =
        std::find_if(entries.begin(), entries.end(), [&name = name](const auto& entry) {
          return entry.first.as_text() && entry.first.as_text()->bytes() == name;
        });
    if (known != entries.end()) {
      known->second = value;
    } else {
      entries.emplace_back(Value::text(name, Origin::source), value);
    }
  }
  return entries;
}

Value make_dict(Interpreter& interpreter, const CallArgs& args) {
  Value dict = Value::dict(entries_of(interpreter, args, "dict"));
  interpreter.charge_value(dict);
  return dict;
}

Value make_namespace(Interpreter& interpreter, const CallArgs& args) {
  const auto names = std::make_shared<Namespace>();
  for (const auto& [key, value] : entries_of(interpreter, args, "namespace")) {
    if (value.as_namespace()) throw Fault("namespaces hold no namespaces; found one");
    interpreter.charge(1);
    names->entries.emplace_back(to_text(key).bytes(), value);
  }
  return names;
}

Value raise_exception(Interpreter&, const CallArgs& args) {
  const Bound bound("raise_exception", args, {"message"}, 1);
  throw Fault("the template refuses this conversation; found '{}'", to_text(bound.at(0)).bytes());
}

struct Date {
  int64_t year;
  int month, day, weekday;  ///< weekday 0 is Sunday
  int hour, minute, second, day_of_year;
};

/// Civil date of a UTC time: years are counted from March, so that the leap day is the last of a
/// year.
Date date_of(int64_t now) {
  const int64_t days = (now >= 0 ? now : now - 86399) / 86400;
  const auto rest = static_cast<int>(now - days * 86400);
  const int64_t shifted = days + 719468;  // from 1 March of year 0
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const int64_t of_era = shifted - era * 146097;
  const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const int64_t month = (5 * of_year + 2) / 153;
  Date date{};
  date.day = static_cast<int>(of_year - (153 * month + 2) / 5 + 1);
  date.month = static_cast<int>(month < 10 ? month + 3 : month - 9);
  date.year = era * 400 + year + (date.month <= 2 ? 1 : 0);
  date.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  date.hour = rest / 3600;
  date.minute = rest / 60 % 60;
  date.second = rest % 60;
  const bool leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0;
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  date.day_of_year = kBefore[date.month - 1] + date.day + (leap && date.month > 2 ? 1 : 0);
  return date;
}

/// Own formatting: strftime of the C library follows the locale of the process.
std::string date_field(const Date& date, char field) {
  static constexpr std::array<std::string_view, 7> kDays = {
      "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "January", "February", "March",     "April",   "May",      "June",
      "July",    "August",   "September", "October", "November", "December"};
  const std::string_view day = kDays[static_cast<size_t>(date.weekday)];
  const std::string_view month = kMonths[static_cast<size_t>(date.month - 1)];
  const int hour12 = date.hour % 12 == 0 ? 12 : date.hour % 12;
  switch (field) {
    case 'a': return std::string(day.substr(0, 3));
    case 'A': return std::string(day);
    case 'b': return std::string(month.substr(0, 3));
    case 'B': return std::string(month);
    case 'd': return fmt::format("{:02}", date.day);
    case 'e': return fmt::format("{:2}", date.day);
    case 'F': return fmt::format("{}-{:02}-{:02}", date.year, date.month, date.day);
    case 'H': return fmt::format("{:02}", date.hour);
    case 'I': return fmt::format("{:02}", hour12);
    case 'j': return fmt::format("{:03}", date.day_of_year);
    case 'm': return fmt::format("{:02}", date.month);
    case 'M': return fmt::format("{:02}", date.minute);
    case 'p': return date.hour < 12 ? "AM" : "PM";
    case 'S': return fmt::format("{:02}", date.second);
    case 'T': return fmt::format("{:02}:{:02}:{:02}", date.hour, date.minute, date.second);
    case 'y': return fmt::format("{:02}", date.year % 100);
    case 'Y': return fmt::format("{}", date.year);
    case '%': return "%";
    default: throw Fault("strftime_now knows aAbBdeFHIjmMpSTyY%; found '%{}'", field);
  }
}

Value strftime_now(Interpreter& interpreter, const CallArgs& args) {
  const Bound bound("strftime_now", args, {"format"}, 1);
  const Text& form = bound.text(0);
  interpreter.charge_bytes(form.size());
  const Date date = date_of(interpreter.now());
  std::string result;
  for (size_t i = 0; i < form.size(); ++i) {
    const char c = form.bytes()[i];
    if (c != '%' || i + 1 == form.size()) {
      result += c;
      continue;
    }
    char field = form.bytes()[++i];
    const bool unpadded = field == '-' && i + 1 < form.size();
    if (unpadded) field = form.bytes()[++i];
    std::string text = date_field(date, field);
    if (unpadded) text.erase(0, std::min(text.find_first_not_of("0 "), text.size() - 1));
    result += text;
  }
  return Text(std::move(result), form.common_origin());
}

void append_value(Interpreter& interpreter, Text& result, const Text& text) {
  interpreter.charge_bytes(result.size() + text.size());
  result.append(text);
}

}  // namespace

Builtin find_global(std::string_view name) {
  if (name == "range") return range;
  if (name == "dict") return make_dict;
  if (name == "namespace") return make_namespace;
  if (name == "raise_exception") return raise_exception;
  if (name == "strftime_now") return strftime_now;
  return nullptr;
}

Value format_percent(Interpreter& interpreter, const Text& form, const Value& values) {
  const List* list = values.as_list();
  const std::vector<Value> args =
      list && list->kind == ListKind::tuple ? list->items : std::vector<Value>{values};
  size_t used = 0, done = 0;
  Text result;
  const std::string& bytes = form.bytes();
  for (size_t at = bytes.find('%'); at != std::string::npos; at = bytes.find('%', at)) {
    interpreter.charge(1);
    result.append_slice(form, done, at);
    const char kind = at + 1 < bytes.size() ? bytes[at + 1] : '\0';
    if (kind == '%') {
      result.append_slice(form, at, at + 1);
    } else {
      if (used >= args.size())
        throw Fault("each % in a format has a value; found {} values", args.size());
      const Value& value = args[used++];
      if (kind == 's') {
        append_value(interpreter, result, to_text(value));
      } else if (kind == 'd' || kind == 'i') {
        append_value(interpreter, result, to_text(value.as_integer("the value of %d")));
      } else {
        throw Fault("formats know %s, %d and %%; found '%{}'", kind);
      }
    }
    at += 2;
    done = at;
  }
  result.append_slice(form, done, form.size());
  if (used < args.size() && !values.as_dict()) {
    throw Fault("each value of a format has its %; found {} values and {} places", args.size(),
                used);
  }
  return result;
}

Value format_braces(Interpreter& interpreter, const Text& form, const CallArgs& args) {
  const std::string& bytes = form.bytes();
  Text result;
  size_t next = 0, done = 0;
  for (size_t at = bytes.find_first_of("{}"); at != std::string::npos;
       at = bytes.find_first_of("{}", done)) {
    interpreter.charge(1);
    result.append_slice(form, done, at);
    if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
      result.append_slice(form, at, at + 1);
      done = at + 2;
      continue;
    }
    const size_t close = bytes[at] == '{' ? bytes.find('}', at) : std::string::npos;
    if (close == std::string::npos)
      throw Fault("braces in a format come in pairs; found one alone");
    const std::string field = bytes.substr(at + 1, close - at - 1);
    const bool digits =
        field.find_first_not_of("0123456789") == std::string::npos && field.size() < 6;
    const size_t index = field.empty() ? next++
                         : digits      ? std::stoul(field)
                                       : args.positional.size();
    const auto named = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& arg) { return arg.first == field; });
    if (index >= args.positional.size() && named == args.named.end()) {
      throw Fault("each place in a format has a value; found none for '{{{}}}'", field);
    }
    const Value& value = index < args.positional.size() ? args.positional[index] : named->second;
    append_value(interpreter, result, to_text(value));
    done = close + 1;
  }
  result.append_slice(form, done, form.size());
  return result;
}

}  // namespace limbeck::jinja
