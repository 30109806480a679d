#include "limbeck/text/jinja_arguments.h"

#include <algorithm>

namespace limbeck::jinja {

Bound::Bound(std::string_view function, const CallArgs& args,
             std::initializer_list<std::string_view> names, size_t required)
    : function_(function) {
  if (args.positional.size() > names.size()) {
    throw Fault("{} takes at most {} arguments; found {}", function, names.size(),
                args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end()) throw Fault("{} takes no argument '{}'; found one", function, name);
    const Value*& slot = values_[static_cast<size_t>(known - names.begin())];
    if (slot) throw Fault("{} takes argument '{}' once; found two", function, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i])
      throw Fault("{} needs the argument '{}'; found none", function, *(names.begin() + i));
  }
}

const Value* Bound::get_some(size_t index) const {
  return values_[index] && !values_[index]->is_none() ? values_[index] : nullptr;
}

const Text* Bound::get_text(size_t index) const {
  const Value* value = get_some(index);
  if (!value) return nullptr;
  if (!value->as_text()) throw Fault("{} takes strings; found {}", function_, value->type_name());
  return value->as_text();
}

const Text& Bound::text(size_t index) const {
  if (const Text* text = get_text(index)) return *text;
  throw Fault("{} takes strings; found none", function_);
}

int64_t Bound::integer(size_t index, int64_t absent) const {
  return values_[index] ? values_[index]->as_integer(function_) : absent;
}

bool Bound::flag(size_t index, bool absent) const {
  return values_[index] ? values_[index]->truth() : absent;
}

}  // namespace limbeck::jinja
