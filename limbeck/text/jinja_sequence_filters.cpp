#include "limbeck/text/jinja_arguments.h"
#include "limbeck/text/jinja_eval.h"
#include "limbeck/text/jinja_filters.h"
#include "limbeck/text/jinja_operators.h"
#include "limbeck/text/jinja_parser.h"

#include <algorithm>

namespace limbeck::jinja {
namespace {

std::vector<Value> items_of(Interpreter& interpreter, const Value& input) {
  const Text* text = input.as_text();
  interpreter.charge(text ? text->size() : input.weight() / 16);
  return iterate(input);
}

Value lazy(std::vector<Value> items) { return Value::list(std::move(items), ListKind::lazy); }

/// Looks up "a.b.0" step by step, as filters with an attribute do; `fallback` stands in for what is
/// undefined at any step.
Value member(Interpreter& interpreter, const Value& item, const Value& path,
             const Value* fallback = nullptr) {
  const auto or_fallback = [fallback](Value value) {
    return value.is_undefined() && fallback ? *fallback : value;
  };
  const Text* text = path.as_text();
  if (!text) return or_fallback(get_item(interpreter, item, path));
  Value value = item;
  for (const Text& part : split(*text, ".", -1)) {
    const std::string& name = part.bytes();
    const bool digits = !name.empty() && name.size() < 10 &&
                        name.find_first_not_of("0123456789") == std::string::npos;
    value = or_fallback(
        get_item(interpreter, value, digits ? Value(int64_t{std::stoi(name)}) : Value(part)));
  }
  return value;
}

Value length(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("length", args, {});
  if (input.is_undefined()) return int64_t{0};
  const List* list = input.as_list();
  if (list && list->kind != ListKind::lazy) return static_cast<int64_t>(list->items.size());
  if (const Dict* dict = input.as_dict()) return static_cast<int64_t>(dict->entries.size());
  if (const Text* text = input.as_text()) {
    interpreter.charge_bytes(text->size());
    return static_cast<int64_t>(count_chars(text->bytes()));
  }
  throw Fault("length takes a list, mapping or string; found {}", input.type_name());
}

Value first(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("first", args, {});
  if (const Text* text = input.as_text(); text && !text->empty()) {
    return text->slice(0, char_at(text->bytes(), 0).size);
  }
  const std::vector<Value> items = items_of(interpreter, input);
  return items.empty() ? Value::undefined("the first item of nothing") : items.front();
}

Value last(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("last", args, {});
  const List* list = input.as_list();
  if (list && list->kind == ListKind::lazy)
    throw Fault("last takes a list or string; found {}", input.type_name());
  const std::vector<Value> items = items_of(interpreter, input);
  return items.empty() ? Value::undefined("the last item of nothing") : items.back();
}

Value reverse(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("reverse", args, {});
  if (input.as_text()) return get_slice(interpreter, input, None{}, None{}, int64_t{-1});
  std::vector<Value> items = items_of(interpreter, input);
  std::reverse(items.begin(), items.end());
  return lazy(std::move(items));
}

Value to_list(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("list", args, {});
  return Value::list(items_of(interpreter, input));
}

Value join(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("join", args, {"d", "attribute"});
  const Text separator = bound.get(0) ? to_text(bound.at(0)) : Text();
  Text result;
  bool is_first = true;
  for (const Value& item : items_of(interpreter, input)) {
    const Text text = to_text(bound.get_some(1) ? member(interpreter, item, bound.at(1)) : item);
    if (result.size() + separator.size() + text.size() > kMaxTextBytes) {
      throw Fault("a string has at most {} bytes; found more in join", kMaxTextBytes);
    }
    if (!is_first) result.append(separator);
    result.append(text);
    is_first = false;
  }
  interpreter.charge_bytes(result.size());
  return result;
}

Value items(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("items", args, {});
  if (input.is_undefined()) return lazy({});
  if (!input.as_dict()) throw Fault("items takes a mapping; found {}", input.type_name());
  interpreter.charge_value(input);
  return lazy(iterate(call_method(interpreter, input, "items", {})));
}

CallArgs tail(const CallArgs& args, size_t from) {
  CallArgs rest;
  if (args.positional.size() > from) {
    rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(from),
                           args.positional.end());
  }
  rest.named = args.named;
  return rest;
}

/// select, reject, selectattr, rejectattr: keeps the items whose subject passes the test (or is
/// true).
Value choose(Interpreter& interpreter, const Value& input, const CallArgs& args, bool by_attribute,
             bool keep) {
  if (!input.truth()) return lazy({});  // Jinja lets none pass here, and templates rely on it
  const size_t skipped = by_attribute ? 1 : 0;
  if (args.positional.size() < skipped)
    throw Fault("selectattr and rejectattr need an attribute; found none");
  Test test = nullptr;
  if (args.positional.size() > skipped) {
    const std::string name = to_text(args.positional[skipped]).bytes();
    test = find_test(name);
    if (!test) throw Fault("tests must be known; found '{}'", name);
  }
  const CallArgs rest = tail(args, skipped + 1);
  std::vector<Value> chosen;
  for (const Value& item : items_of(interpreter, input)) {
    interpreter.charge(1);
    const Value subject = by_attribute ? member(interpreter, item, args.positional[0]) : item;
    if ((test ? test(interpreter, subject, rest) : subject.truth()) == keep) chosen.push_back(item);
  }
  return lazy(std::move(chosen));
}

template <bool kByAttribute, bool kKeep>
Value choice_filter(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  return choose(interpreter, input, args, kByAttribute, kKeep);
}

Value map(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  std::vector<Value> results;
  if (!input.truth()) return lazy({});
  if (args.positional.empty()) {
    const Bound bound("map", args, {"attribute", "default"}, 1);
    for (const Value& item : items_of(interpreter, input)) {
      interpreter.charge(1);
      results.push_back(member(interpreter, item, bound.at(0), bound.get_some(1)));
    }
    return lazy(std::move(results));
  }
  const std::string name = to_text(args.positional[0]).bytes();
  const Filter filter = find_filter(name);
  if (!filter) throw Fault("filters must be known; found '{}'", name);
  const CallArgs rest = tail(args, 1);
  for (const Value& item : items_of(interpreter, input)) {
    interpreter.charge(1);
    results.push_back(filter(interpreter, item, rest));
  }
  return lazy(std::move(results));
}

/// What items are compared by: themselves or a member, strings without their case unless asked.
Value sort_key(Interpreter& interpreter, const Value& item, const Value* attribute,
               bool case_sensitive) {
  interpreter.charge(1);
  Value key = attribute ? member(interpreter, item, *attribute) : item;
  if (!case_sensitive && key.as_text()) {
    interpreter.charge_bytes(key.as_text()->size());
    return change_case(*key.as_text(), LetterCase::lower);
  }
  return key;
}

std::vector<Value> sorted(Interpreter& interpreter, std::vector<std::pair<Value, Value>> keyed,
                          bool reversed) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    interpreter.charge(1 + std::min(a.first.weight(), b.first.weight()) / 8);
    if (a.first.is_undefined() || b.first.is_undefined())
      throw Fault("sort keys must be defined; found undefined");
    return reversed ? less(b.first, a.first) : less(a.first, b.first);
  });
  std::vector<Value> items;
  for (auto& entry : keyed) items.push_back(std::move(entry.second));
  return items;
}

Value sort(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("sort", args, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(interpreter, input)) {
    keyed.emplace_back(sort_key(interpreter, item, bound.get_some(2), bound.flag(1, false)), item);
  }
  return Value::list(sorted(interpreter, std::move(keyed), bound.flag(0, false)));
}

Value dictsort(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("dictsort", args, {"case_sensitive", "by", "reverse"});
  const Dict* dict = input.as_dict();
  if (!dict) throw Fault("dictsort takes a mapping; found {}", input.type_name());
  const std::string by = bound.get(1) ? bound.text(1).bytes() : "key";
  if (by != "key" && by != "value") throw Fault("dictsort goes by key or value; found '{}'", by);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : dict->entries) {
    keyed.emplace_back(
        sort_key(interpreter, by == "key" ? key : value, nullptr, bound.flag(0, false)),
        Value::list({key, value}, ListKind::tuple));
  }
  return Value::list(sorted(interpreter, std::move(keyed), bound.flag(2, false)));
}

Value unique(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("unique", args, {"case_sensitive", "attribute"});
  std::vector<Value> seen, kept;
  for (const Value& item : items_of(interpreter, input)) {
    Value key = sort_key(interpreter, item, bound.get_some(1), bound.flag(0, false));
    if (key.height() > 0) throw Fault("unique compares scalars; found a {}", key.type_name());
    interpreter.charge(seen.size() / 16);
    if (std::any_of(seen.begin(), seen.end(),
                    [&](const Value& other) { return equal(other, key); }))
      continue;
    seen.push_back(std::move(key));
    kept.push_back(item);
  }
  return lazy(std::move(kept));
}

constexpr NamedFilter kSequenceFilters[] = {{"length", length},
                                            {"count", length},
                                            {"first", first},
                                            {"last", last},
                                            {"reverse", reverse},
                                            {"list", to_list},
                                            {"join", join},
                                            {"items", items},
                                            {"select", choice_filter<false, true>},
                                            {"reject", choice_filter<false, false>},
                                            {"selectattr", choice_filter<true, true>},
                                            {"rejectattr", choice_filter<true, false>},
                                            {"map", map},
                                            {"sort", sort},
                                            {"dictsort", dictsort},
                                            {"unique", unique}};

}  // namespace

std::span<const NamedFilter> sequence_filters() { return kSequenceFilters; }

}  // namespace limbeck::jinja
