// Methods of strings, lists and mappings.
#include "limbeck/text/jinja_arguments.h"
#include "limbeck/text/jinja_operators.h"

#include <algorithm>
#include <span>

namespace limbeck::jinja {
namespace {

using MethodBody = Value (*)(Interpreter&, const Value& self, const CallArgs&);

template <LetterCase kCase>
Value text_case(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("a method of letter case", args, {});
  interpreter.charge_bytes(self.as_text()->size());
  return change_case(*self.as_text(), kCase);
}

template <bool kLeft, bool kRight>
Value text_strip(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("strip", args, {"chars"});
  interpreter.charge_bytes(self.as_text()->size());
  const Text* chars = bound.get_text(0);
  return strip(*self.as_text(),
               chars ? std::optional<std::string_view>(chars->bytes()) : std::nullopt,
               {kLeft, kRight});
}

template <bool kEnd>
Value text_has_affix(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound(kEnd ? "endswith" : "startswith", args, {"affix"}, 1);
  const std::string& text = self.as_text()->bytes();
  const List* choices = bound.at(0).as_list();
  if (choices && choices->kind != ListKind::tuple)
    throw Fault("affixes are a string or a tuple; found a list");
  const auto matches = [&](const Value& affix) {
    if (!affix.as_text()) throw Fault("affixes are strings; found {}", affix.type_name());
    interpreter.charge_bytes(affix.as_text()->size());
    const std::string& wanted = affix.as_text()->bytes();
    return kEnd ? text.ends_with(wanted) : text.starts_with(wanted);
  };
  if (!choices) return matches(bound.at(0));
  return std::any_of(choices->items.begin(), choices->items.end(), matches);
}

template <bool kEnd>
Value text_remove_affix(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound(kEnd ? "removesuffix" : "removeprefix", args, {"affix"}, 1);
  const Text& text = *self.as_text();
  const std::string& affix = bound.text(0).bytes();
  interpreter.charge_bytes(text.size());
  const bool has = kEnd ? text.bytes().ends_with(affix) : text.bytes().starts_with(affix);
  if (!has) return text;
  return kEnd ? text.slice(0, text.size() - affix.size()) : text.slice(affix.size(), text.size());
}

Value text_replace(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  const Text& from = bound.text(0);
  const Text& to = bound.text(1);
  const int64_t most = bound.integer(2, -1);
  interpreter.charge_bytes(self.as_text()->size());
  interpreter.charge_bytes(replaced_size(*self.as_text(), from.bytes(), to, most));
  return replace(*self.as_text(), from.bytes(), to, most);
}

Value list_of(Interpreter& interpreter, std::vector<Text> parts) {
  interpreter.charge(parts.size() / 4);
  std::vector<Value> items;
  items.reserve(parts.size());
  for (Text& part : parts) items.emplace_back(std::move(part));
  return Value::list(std::move(items));
}

Value text_split(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("split", args, {"sep", "maxsplit"});
  const Text& text = *self.as_text();
  const int64_t most = bound.integer(1, -1);
  interpreter.charge(text.size() / 32);
  const Text* separator = bound.get_text(0);
  if (!separator) return list_of(interpreter, split_words(text, most));
  if (separator->empty()) throw Fault("split needs a separator; found an empty string");
  return list_of(interpreter, split(text, separator->bytes(), most));
}

Value text_rsplit(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("rsplit", args, {"sep", "maxsplit"}, 1);
  const Text& text = *self.as_text();
  const Text& separator = bound.text(0);
  if (separator.empty()) throw Fault("rsplit needs a separator; found an empty string");
  interpreter.charge(text.size() / 32);
  const int64_t most = bound.integer(1, -1);
  std::vector<Text> parts;
  size_t end = text.size();
  for (int64_t cuts = 0; (most < 0 || cuts < most) && end >= separator.size(); ++cuts) {
    const size_t at = text.bytes().rfind(separator.bytes(), end - separator.size());
    if (at == std::string::npos) break;
    parts.push_back(text.slice(at + separator.size(), end));
    end = at;
  }
  parts.push_back(text.slice(0, end));
  std::reverse(parts.begin(), parts.end());
  return list_of(interpreter, std::move(parts));
}

Value text_splitlines(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("splitlines", args, {"keepends"});
  interpreter.charge(self.as_text()->size() / 32);
  return list_of(interpreter, split_lines(*self.as_text(), bound.flag(0, false)));
}

Value text_join(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("join", args, {"iterable"}, 1);
  const Value& list = bound.at(0);
  interpreter.charge(list.as_text() ? list.as_text()->size() : list.weight() / 16);
  Text result;
  bool is_first = true;
  for (const Value& item : iterate(list)) {
    const Text* text = item.as_text();
    if (!text) throw Fault("join joins strings; found {}", item.type_name());
    if (result.size() + self.as_text()->size() + text->size() > kMaxTextBytes) {
      throw Fault("a string has at most {} bytes; found more in join", kMaxTextBytes);
    }
    if (!is_first) result.append(*self.as_text());
    result.append(*text);
    is_first = false;
  }
  interpreter.charge_bytes(result.size());
  return result;
}

Value text_format(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  return format_braces(interpreter, *self.as_text(), args);
}

Value text_find(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("find", args, {"sub"}, 1);
  const std::string& text = self.as_text()->bytes();
  interpreter.charge_bytes(text.size());
  const size_t at = text.find(bound.text(0).bytes());
  if (at == std::string::npos) return int64_t{-1};
  return static_cast<int64_t>(count_chars(std::string_view(text).substr(0, at)));
}

Value text_count(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("count", args, {"sub"}, 1);
  const Text& text = *self.as_text();
  const std::string& part = bound.text(0).bytes();
  interpreter.charge(text.size() / 32);
  if (part.empty()) return static_cast<int64_t>(count_chars(text.bytes())) + 1;
  return static_cast<int64_t>(split(text, part, -1).size()) - 1;
}

Value text_isdigit(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("isdigit", args, {});
  const std::string& text = self.as_text()->bytes();
  interpreter.charge_bytes(text.size());
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

Value dict_get(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("get", args, {"key", "default"}, 1);
  interpreter.charge(self.as_dict()->entries.size() / 64);
  if (bound.at(0).height() > 0)
    throw Fault("mapping keys are scalars; found a {}", bound.at(0).type_name());
  if (const Value* found = self.as_dict()->find(bound.at(0))) return *found;
  return bound.get(1) ? *bound.get(1) : Value(None{});
}

Value dict_keys(Interpreter&, const Value& self, const CallArgs& args) {
  const Bound bound("keys", args, {});
  return Value::list(iterate(self));
}

Value dict_values(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("values", args, {});
  interpreter.charge(self.as_dict()->entries.size() / 16);
  std::vector<Value> values;
  for (const auto& entry : self.as_dict()->entries) values.push_back(entry.second);
  return Value::list(std::move(values));
}

Value dict_items(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("items", args, {});
  interpreter.charge(self.as_dict()->entries.size() / 16);
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.as_dict()->entries) {
    pairs.push_back(Value::list({key, value}, ListKind::tuple));
  }
  return Value::list(std::move(pairs));
}

/// Jinja's sandbox refuses this one; templates written for other interpreters use it.
Value list_append(Interpreter&, const Value& self, const CallArgs& args) {
  const Bound bound("append", args, {"item"}, 1);
  List& list = *self.as_list();
  const Value& item = bound.at(0);
  // The height and weight of what holds this list could not follow, and a cycle could arise.
  if (list.embedded)
    throw Fault("append changes lists that no other value holds; found one inside another");
  const Value grown = Value::list({item});
  if (list.embedded) throw Fault("a list cannot be appended to itself; found that");
  if (list.weight + item.weight() > kMaxWeight)
    throw Fault("a value has at most {} members; found more", kMaxWeight);
  list.height = std::max(list.height, grown.height());
  list.weight += item.weight();
  list.items.push_back(item);
  return None{};
}

Value list_index(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("index", args, {"item"}, 1);
  interpreter.charge_value(self);
  const auto& items = self.as_list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], bound.at(0))) return static_cast<int64_t>(i);
  }
  throw Fault("index finds an item of the list; found none equal");
}

Value list_count(Interpreter& interpreter, const Value& self, const CallArgs& args) {
  const Bound bound("count", args, {"item"}, 1);
  interpreter.charge_value(self);
  const auto& items = self.as_list()->items;
  return int64_t{std::count_if(items.begin(), items.end(),
                               [&](const Value& v) { return equal(v, bound.at(0)); })};
}

Value loop_cycle(Interpreter&, const Value& self, const CallArgs& args) {
  if (args.positional.empty()) throw Fault("cycle needs values; found none");
  return args.positional[self.as_loop()->index % args.positional.size()];
}

struct NamedMethod {
  std::string_view name;
  MethodBody body;  ///< null: Python has it, the subset does not
};

constexpr NamedMethod kTextMethods[] = {{"upper", text_case<LetterCase::upper>},
                                        {"lower", text_case<LetterCase::lower>},
                                        {"title", text_case<LetterCase::title>},
                                        {"capitalize", text_case<LetterCase::capitalize>},
                                        {"strip", text_strip<true, true>},
                                        {"lstrip", text_strip<true, false>},
                                        {"rstrip", text_strip<false, true>},
                                        {"startswith", text_has_affix<false>},
                                        {"endswith", text_has_affix<true>},
                                        {"removeprefix", text_remove_affix<false>},
                                        {"removesuffix", text_remove_affix<true>},
                                        {"replace", text_replace},
                                        {"split", text_split},
                                        {"rsplit", text_rsplit},
                                        {"splitlines", text_splitlines},
                                        {"join", text_join},
                                        {"format", text_format},
                                        {"find", text_find},
                                        {"count", text_count},
                                        {"isdigit", text_isdigit},
                                        {"casefold", nullptr},
                                        {"center", nullptr},
                                        {"encode", nullptr},
                                        {"expandtabs", nullptr},
                                        {"format_map", nullptr},
                                        {"index", nullptr},
                                        {"isalnum", nullptr},
                                        {"isalpha", nullptr},
                                        {"isascii", nullptr},
                                        {"isdecimal", nullptr},
                                        {"isidentifier", nullptr},
                                        {"islower", nullptr},
                                        {"isnumeric", nullptr},
                                        {"isprintable", nullptr},
                                        {"isspace", nullptr},
                                        {"istitle", nullptr},
                                        {"isupper", nullptr},
                                        {"ljust", nullptr},
                                        {"maketrans", nullptr},
                                        {"partition", nullptr},
                                        {"rfind", nullptr},
                                        {"rindex", nullptr},
                                        {"rjust", nullptr},
                                        {"rpartition", nullptr},
                                        {"swapcase", nullptr},
                                        {"translate", nullptr},
                                        {"zfill", nullptr}};
constexpr NamedMethod kListMethods[] = {
    {"append", list_append}, {"index", list_index}, {"count", list_count}, {"clear", nullptr},
    {"copy", nullptr},       {"extend", nullptr},   {"insert", nullptr},   {"pop", nullptr},
    {"remove", nullptr},     {"reverse", nullptr},  {"sort", nullptr}};
constexpr NamedMethod kTupleMethods[] = {{"index", list_index}, {"count", list_count}};
constexpr NamedMethod kDictMethods[] = {
    {"get", dict_get},    {"keys", dict_keys}, {"values", dict_values}, {"items", dict_items},
    {"clear", nullptr},   {"copy", nullptr},   {"fromkeys", nullptr},   {"pop", nullptr},
    {"popitem", nullptr}, {"update", nullptr}, {"setdefault", nullptr}};
constexpr NamedMethod kLoopMethods[] = {{"cycle", loop_cycle}};

std::span<const NamedMethod> methods_of(const Value& value) {
  if (value.as_text()) return kTextMethods;
  if (value.as_dict()) return kDictMethods;
  if (value.as_loop()) return kLoopMethods;
  const List* list = value.as_list();
  if (!list || list->kind == ListKind::lazy) return {};
  return list->kind == ListKind::tuple ? std::span<const NamedMethod>(kTupleMethods) : kListMethods;
}

const NamedMethod* find_method(const Value& value, std::string_view name) {
  for (const NamedMethod& method : methods_of(value)) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  return find_method(value, name) != nullptr;
}

Value call_method(Interpreter& interpreter, const Value& self, std::string_view name,
                  const CallArgs& args) {
  const NamedMethod* method = find_method(self, name);
  if (!method || !method->body) {
    throw Fault("methods must be part of the subset; found {} of a {}", name, self.type_name());
  }
  return method->body(interpreter, self, args);
}

}  // namespace limbeck::jinja
