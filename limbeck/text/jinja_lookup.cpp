#include "limbeck/text/jinja_operators.h"

#include <algorithm>

namespace limbeck::jinja {
namespace {

Value method_of(const Value& self, std::string_view name) {
  return Function{std::string(name), Method{self}};
}

Value loop_attribute(const Value& self, std::string_view name) {
  const LoopState& loop = *self.as_loop();
  const auto index = static_cast<int64_t>(loop.index),
             length = static_cast<int64_t>(loop.items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == length;
  if (name == "length") return length;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  // Depth counts the calls of a recursive loop, which the subset has none of.
  if (name == "depth") return int64_t{1};
  if (name == "depth0") return int64_t{0};
  if (name == "previtem")
    return index > 0 ? loop.items[loop.index - 1] : Value::undefined("previtem");
  if (name == "nextitem")
    return index + 1 < length ? loop.items[loop.index + 1] : Value::undefined("nextitem");
  if (name == "cycle") return method_of(self, name);
  if (name == "changed") throw Fault("loop.changed is not part of the subset; found it");
  return Value::undefined(std::string(name));
}

void refuse_undefined(const Value& value, std::string_view what) {
  if (!value.is_undefined()) return;
  throw Fault("only defined values have members; found {} when looking up '{}'",
              describe_undefined(value), what);
}

/// What indexing finds, or null.
std::optional<Value> find_item(Interpreter& interpreter, const Value& value, const Value& key) {
  if (const Dict* dict = value.as_dict()) {
    interpreter.charge(dict->entries.size() / 64);
    const Value* item = key.height() > 0 ? nullptr : dict->find(key);
    return item ? std::optional(*item) : std::nullopt;
  }
  if (!key.is_integer_like()) return std::nullopt;
  int64_t at = key.as_integer("");
  if (const List* list = value.as_list(); list && list->kind != ListKind::lazy) {
    const auto size = static_cast<int64_t>(list->items.size());
    if (at < 0) at += size;
    return at >= 0 && at < size ? std::optional(list->items[static_cast<size_t>(at)])
                                : std::nullopt;
  }
  if (const Text* text = value.as_text()) {
    interpreter.charge_bytes(text->size());
    const CharIndex index(text->bytes());
    const auto size = static_cast<int64_t>(index.count());
    if (at < 0) at += size;
    if (at < 0 || at >= size) return std::nullopt;
    const auto place = static_cast<size_t>(at);
    return Value(text->slice(index.offset(place), index.offset(place + 1)));
  }
  return std::nullopt;
}

}  // namespace

Value get_attribute(Interpreter& interpreter, const Value& value, std::string_view name) {
  refuse_undefined(value, name);
  if (value.as_loop()) return loop_attribute(value, name);
  if (Namespace* names = value.as_namespace()) {
    interpreter.charge(names->entries.size() / 64);
    const Value* found = names->find(name);
    return found ? *found : Value::undefined(std::string(name));
  }
  if (has_method(value, name)) return method_of(value, name);
  if (const Dict* dict = value.as_dict()) {
    interpreter.charge(dict->entries.size() / 64);
    if (const Value* item = dict->find(name)) return *item;
  }
  return Value::undefined(std::string(name));
}

Value get_item(Interpreter& interpreter, const Value& value, const Value& key) {
  const Text* name = key.as_text();
  refuse_undefined(value, name ? name->bytes() : "an item");
  if (auto item = find_item(interpreter, value, key)) return *item;
  if (name && !value.as_dict()) return get_attribute(interpreter, value, name->bytes());
  if (name && has_method(value, name->bytes())) return method_of(value, name->bytes());
  return Value::undefined(name ? name->bytes() : std::string("an item"));
}

}  // namespace limbeck::jinja
