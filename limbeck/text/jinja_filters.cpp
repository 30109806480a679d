#include "limbeck/text/jinja_filters.h"

#include "limbeck/text/jinja_arguments.h"
#include "limbeck/text/jinja_eval.h"
#include "limbeck/text/jinja_json.h"
#include "limbeck/text/jinja_operators.h"
#include "limbeck/text/jinja_parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace limbeck::jinja {
namespace {

/// The input as text, its work counted.
Text text_of(Interpreter& interpreter, const Value& input) {
  interpreter.charge_value(input);
  Text text = to_text(input);
  interpreter.charge_bytes(text.size());
  return text;
}

Value trim(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("trim", args, {"chars"});
  const Text text = text_of(interpreter, input);
  const Text* chars = bound.get_text(0);
  return strip(text, chars ? std::optional<std::string_view>(chars->bytes()) : std::nullopt, {});
}

template <LetterCase kCase>
Value case_filter(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("a filter of letter case", args, {});
  return change_case(text_of(interpreter, input), kCase);
}

Value title(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("title", args, {});
  return title_words(text_of(interpreter, input));
}

Value replace_filter(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  const Text text = text_of(interpreter, input);
  const Text from = to_text(bound.at(0)), to = to_text(bound.at(1));
  const int64_t most = bound.get_some(2) ? bound.integer(2, -1) : -1;
  interpreter.charge_bytes(replaced_size(text, from.bytes(), to, most));
  return replace(text, from.bytes(), to, most);
}

std::string indent_text(const Value& value) {
  if (const Text* text = value.as_text()) return text->bytes();
  const int64_t width = value.as_integer("an indent");
  if (width > 64) throw Fault("an indent is at most 64; found {}", width);
  return std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
}

Value indent(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("indent", args, {"width", "first", "blank"});
  Text text = text_of(interpreter, input);
  const bool first = bound.flag(1, false), blank = bound.flag(2, false);
  const Text margin =
      bound.get(0) ? Text(indent_text(bound.at(0)), Origin::source) : Text("    ", Origin::source);
  text.append("\n", Origin::source);  // so that a last empty line is one
  const std::vector<Text> lines = split_lines(text, false);
  interpreter.charge_bytes(text.size() + lines.size() * (margin.size() + 1));
  Text result;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result.append("\n", Origin::source);
    if (i == 0 ? first : blank || !lines[i].empty()) result.append(margin);
    result.append(lines[i]);
  }
  return result;
}

Value to_string(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("string", args, {});
  return text_of(interpreter, input);
}

Value safe(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("safe", args, {});
  // Nothing is escaped here, so there is nothing to exempt. Jinja would now escape what is joined
  // to this value, which no template wants.
  return input;
}

Value format_filter(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  if (!args.named.empty())
    throw Fault("format takes arguments by position; found '{}'", args.named[0].first);
  const Text text = text_of(interpreter, input);
  return format_percent(interpreter, text, Value::list(args.positional, ListKind::tuple));
}

/// Python's int(text) and float(text): surrounding white space and single underscores are fine.
std::string number_text(const Text& text) {
  std::string digits = strip(text, std::nullopt, {}).bytes();
  for (size_t i = 1; i + 1 < digits.size(); ++i) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (digits[i] == '_' && is_digit(digits[i - 1]) && is_digit(digits[i + 1])) digits.erase(i, 1);
  }
  if (digits.size() > 1 && digits[0] == '+' && digits[1] != '-') digits.erase(0, 1);
  return digits;
}

template <class Number, class... Format>
std::optional<Number> parse_number(const std::string& digits, Format... format) {
  Number number{};
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number, format...);
  if (error != std::errc() || stop != end || digits.empty()) return std::nullopt;
  return number;
}

std::optional<int64_t> truncated(double number) {
  if (!(std::abs(number) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(number);
}

Value to_integer(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("int", args, {"default", "base"});
  const Value fallback = bound.get(0) ? *bound.get(0) : Value(int64_t{0});
  const int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) throw Fault("the base of int is from 2 to 36; found {}", base);
  if (input.is_undefined()) throw Fault("int takes a value; found {}", describe_undefined(input));
  if (input.is_integer_like()) return input.as_integer("int");
  std::optional<int64_t> number;
  if (input.is<double>()) number = truncated(input.as_double("int"));
  if (const Text* text = input.as_text()) {
    interpreter.charge_bytes(text->size());
    const std::string digits = number_text(*text);
    number = parse_number<int64_t>(digits, static_cast<int>(base));
    if (!number) {
      const auto real = parse_number<double>(digits);
      if (real) number = truncated(*real);
    }
  }
  return number ? Value(*number) : fallback;
}

Value to_real(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("float", args, {"default"});
  if (input.is_undefined()) throw Fault("float takes a value; found {}", describe_undefined(input));
  if (input.is_number()) return input.as_double("float");
  if (const Text* text = input.as_text()) {
    interpreter.charge_bytes(text->size());
    if (const auto number = parse_number<double>(number_text(*text))) return *number;
  }
  return bound.get(0) ? *bound.get(0) : Value(0.0);
}

Value absolute(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("abs", args, {});
  if (input.is_integer_like())
    return input.as_integer("abs") < 0 ? negated(input) : input.as_integer("abs");
  return std::abs(input.as_double("the input of abs"));
}

Value round_number(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("round", args, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  if (precision < -300 || precision > 300)
    throw Fault("round keeps -300 to 300 digits; found {}", precision);
  const std::string method = bound.get(1) ? bound.text(1).bytes() : "common";
  const double number = input.as_double("the input of round");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return std::ceil(number * scale) / scale;
  if (method == "floor") return std::floor(number * scale) / scale;
  if (method != "common") throw Fault("round goes common, ceil or floor; found '{}'", method);
  if (input.is_integer_like() && precision >= 0) return input.as_integer("round");
  if (precision < 0) {
    const double rounded = std::nearbyint(number * scale) / scale;
    return input.is_integer_like() ? Value(static_cast<int64_t>(rounded)) : Value(rounded);
  }
  // Printing rounds the exact binary value, ties to even, which is what Python's round does.
  return parse_number<double>(fmt::format("{:.{}f}", number, precision)).value_or(number);
}

Value default_value(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("default", args, {"default_value", "boolean"});
  const bool replaced = input.is_undefined() || (bound.flag(1, false) && !input.truth());
  if (!replaced) return input;
  return bound.get(0) ? *bound.get(0) : Value(Text());
}

Value tojson(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (const Value* indent = bound.get_some(1)) {
    style.indent = indent_text(*indent);
    style.item_separator = ",";
  }
  if (const Value* separators = bound.get_some(2)) {
    const std::vector<Value> pair = iterate(*separators);
    if (pair.size() != 2 || !pair[0].as_text() || !pair[1].as_text()) {
      throw Fault("the separators of tojson are two strings; found {} items", pair.size());
    }
    style.item_separator = pair[0].as_text()->bytes();
    style.key_separator = pair[1].as_text()->bytes();
  }
  interpreter.charge_value(input);
  std::string json = to_json(input, style);
  interpreter.charge_bytes(json.size());
  return Text(std::move(json), Origin::input);
}

constexpr NamedFilter kScalarFilters[] = {{"trim", trim},
                                          {"upper", case_filter<LetterCase::upper>},
                                          {"lower", case_filter<LetterCase::lower>},
                                          {"capitalize", case_filter<LetterCase::capitalize>},
                                          {"title", title},
                                          {"replace", replace_filter},
                                          {"string", to_string},
                                          {"safe", safe},
                                          {"format", format_filter},
                                          {"indent", indent},
                                          {"int", to_integer},
                                          {"float", to_real},
                                          {"abs", absolute},
                                          {"round", round_number},
                                          {"default", default_value},
                                          {"d", default_value},
                                          {"tojson", tojson}};

}  // namespace

std::span<const NamedFilter> scalar_filters() { return kScalarFilters; }

Text title_words(const Text& text) {
  Text result;
  constexpr std::string_view kBreaks = "-({[<";
  const std::string_view bytes = text.bytes();
  const auto breaks = [&](size_t at) {
    const Char c = char_at(bytes, at);
    return is_space(c.code) ||
           (c.code < 0x80 && kBreaks.find(static_cast<char>(c.code)) != std::string_view::npos);
  };
  for (size_t at = 0; at < bytes.size();) {
    size_t end = at;
    const bool between = breaks(at);
    while (end < bytes.size() && breaks(end) == between) end += char_at(bytes, end).size;
    const Text part = text.slice(at, end);
    result.append(between ? part : change_case(part, LetterCase::capitalize));
    at = end;
  }
  return result;
}

Filter find_filter(std::string_view name) {
  for (const auto table : {scalar_filters(), sequence_filters()}) {
    const auto entry =
        std::find_if(table.begin(), table.end(), [&](const auto& f) { return f.name == name; });
    if (entry != table.end()) return entry->filter;
  }
  return nullptr;
}

}  // namespace limbeck::jinja
