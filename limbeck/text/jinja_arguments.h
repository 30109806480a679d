/// Arguments of a built-in filter, test, method or function, matched to its parameters.
#pragma once

#include "limbeck/text/jinja_value.h"

#include <array>
#include <initializer_list>
#include <string_view>

namespace limbeck::jinja {

class Bound {
 public:
  /// Throws Fault for an argument too many, unknown or given twice, and for fewer than `required`.
  Bound(std::string_view function, const CallArgs& args,
        std::initializer_list<std::string_view> names, size_t required = 0);

  /// Null when absent.
  const Value* get(size_t index) const { return values_[index]; }
  const Value& at(size_t index) const { return *values_[index]; }  ///< a required one
  /// None counts as absent, as most of Python's parameters have it.
  const Value* get_some(size_t index) const;
  const Text* get_text(size_t index) const;  ///< null when absent or none; Fault for other kinds
  const Text& text(size_t index) const;      ///< Fault unless given and a string
  int64_t integer(size_t index, int64_t absent) const;
  bool flag(size_t index, bool absent) const;

 private:
  std::string_view function_;
  std::array<const Value*, 6> values_{};
};

}  // namespace limbeck::jinja
