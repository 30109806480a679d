#include "limbeck/text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <compare>

namespace limbeck::jinja {
namespace {

/// Height of a container over `member`, which must be data: a namespace inside a container could be
/// made to contain that container, and nothing here could then be freed or printed.
int height_over(const Value& member, int height) {
  if (member.as_namespace() || member.as_loop() || member.as_function()) {
    throw Fault("lists and mappings hold data only; found a {}", member.type_name());
  }
  return std::max(height, member.height() + 1);
}

void mark_embedded(const Value& member) {
  if (List* list = member.as_list()) list->embedded = true;
}

template <class Container>
void check_size(const Container& container) {
  if (container.height > kMaxDepth) {
    throw Fault("values nest at most {} deep; found {}", kMaxDepth, container.height);
  }
  if (container.weight > kMaxWeight) {
    throw Fault("a value has at most {} members in all; found {}", kMaxWeight, container.weight);
  }
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (size_t i = 0; i < a.entries.size(); ++i) {
    const auto& [key, value] = a.entries[i];
    // Mostly the order is the same, too.
    const Value* other = equal(key, b.entries[i].first) ? &b.entries[i].second : b.find(key);
    if (!other || !equal(value, *other)) return false;
  }
  return true;
}

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_integer_like() && b.is_integer_like()) return a.as_integer("") <=> b.as_integer("");
  return a.as_double("") <=> b.as_double("");
}

}  // namespace

Value::Value(Text text) : storage_(std::make_shared<const Text>(std::move(text))) {
  if (as_text()->size() > kMaxTextBytes) {
    throw Fault("a string has at most {} bytes; found {}", kMaxTextBytes, as_text()->size());
  }
}

Value::Value(Function function) : storage_(std::make_shared<const Function>(std::move(function))) {}

Value Value::undefined(std::string name) {
  Value value;
  value.storage_ = Undefined{std::make_shared<const std::string>(std::move(name))};
  return value;
}

Value Value::list(std::vector<Value> items, ListKind kind) {
  auto list = std::make_shared<List>();
  list->kind = kind;
  for (const Value& item : items) {
    list->height = height_over(item, list->height);
    list->weight += item.weight();
  }
  check_size(*list);
  for (const Value& item : items) mark_embedded(item);
  list->items = std::move(items);
  Value value;
  value.storage_ = std::move(list);
  return value;
}

Value Value::dict(std::vector<std::pair<Value, Value>> entries) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, item] : entries) {
    if (key.height() > 0) throw Fault("mapping keys are scalars; found a {}", key.type_name());
    dict->height = height_over(item, height_over(key, dict->height));
    dict->weight += key.weight() + item.weight();
  }
  check_size(*dict);
  for (const auto& entry : entries) mark_embedded(entry.second);
  dict->entries = std::move(entries);
  Value value;
  value.storage_ = std::shared_ptr<const Dict>(std::move(dict));
  return value;
}

const Value* Dict::find(const Value& key) const {
  for (const auto& entry : entries) {
    if (equal(entry.first, key)) return &entry.second;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& entry : entries) {
    const Text* text = entry.first.as_text();
    if (text && text->bytes() == key) return &entry.second;
  }
  return nullptr;
}

Value* Namespace::find(std::string_view name) {
  for (auto& entry : entries) {
    if (entry.first == name) return &entry.second;
  }
  return nullptr;
}

int64_t Value::as_integer(std::string_view what) const {
  if (const auto* number = std::get_if<int64_t>(&storage_)) return *number;
  if (const auto* flag = std::get_if<bool>(&storage_)) return *flag ? 1 : 0;
  throw Fault("{} must be an integer; found {}", what, type_name());
}

double Value::as_double(std::string_view what) const {
  if (const auto* number = std::get_if<double>(&storage_)) return *number;
  if (is_integer_like()) return static_cast<double>(as_integer(what));
  throw Fault("{} must be a number; found {}", what, type_name());
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (is<double>()) return std::get<double>(storage_) != 0;
  if (is_integer_like()) return as_integer("") != 0;
  if (const Text* text = as_text()) return !text->empty();
  if (const List* list = as_list()) return list->kind == ListKind::lazy || !list->items.empty();
  if (const Dict* dict = as_dict()) return !dict->entries.empty();
  return true;
}

std::string_view Value::type_name() const {
  constexpr std::string_view kNames[] = {"undefined", "none",     "boolean", "integer",
                                         "number",    "string",   "list",    "mapping",
                                         "namespace", "function", "loop"};
  if (const List* list = as_list(); list && list->kind != ListKind::list) {
    return list->kind == ListKind::tuple ? "tuple" : "sequence without positions";
  }
  return kNames[storage_.index()];
}

int Value::height() const {
  if (const List* list = as_list()) return list->height;
  if (const Dict* dict = as_dict()) return dict->height;
  return 0;
}

size_t Value::weight() const {
  if (const Text* text = as_text()) return 1 + text->size() / 1024;
  if (const List* list = as_list()) return list->weight;
  if (const Dict* dict = as_dict()) return dict->weight;
  return 1;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.storage().index() != b.storage().index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (const Text* text = a.as_text()) return text->bytes() == b.as_text()->bytes();
  if (const List* list = a.as_list()) {
    return list == b.as_list() ||
           (list->kind == b.as_list()->kind && equal_items(list->items, b.as_list()->items));
  }
  if (const Dict* dict = a.as_dict()) return equal_dicts(*dict, *b.as_dict());
  if (a.as_namespace()) return a.as_namespace() == b.as_namespace();
  if (a.as_loop()) return a.as_loop() == b.as_loop();
  return a.as_function() == b.as_function();
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) < 0;
  if (a.as_text() && b.as_text()) return a.as_text()->bytes() < b.as_text()->bytes();
  const List *left = a.as_list(), *right = b.as_list();
  if (left && right && left->kind == right->kind && left->kind != ListKind::lazy) {
    const size_t common = std::min(left->items.size(), right->items.size());
    for (size_t i = 0; i < common; ++i) {
      if (!equal(left->items[i], right->items[i])) return less(left->items[i], right->items[i]);
    }
    return left->items.size() < right->items.size();
  }
  throw Fault("only numbers, strings and lists have an order among themselves; found {} and {}",
              a.type_name(), b.type_name());
}

std::vector<Value> iterate(const Value& value) {
  if (value.is_undefined()) return {};
  if (const List* list = value.as_list()) return list->items;
  std::vector<Value> items;
  if (const Dict* dict = value.as_dict()) {
    for (const auto& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  if (const Text* text = value.as_text()) {
    for (size_t at = 0; at < text->size();) {
      const size_t size = char_at(text->bytes(), at).size;
      items.push_back(text->slice(at, at + size));
      at += size;
    }
    return items;
  }
  throw Fault("a loop needs a list, mapping or string; found {}", value.type_name());
}

}  // namespace limbeck::jinja
