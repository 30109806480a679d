/// Operators of the template language, with Python's meaning.
#pragma once

#include "limbeck/text/jinja_eval.h"

#include <optional>
#include <string_view>

namespace limbeck::jinja {

Value apply(Interpreter& interpreter, BinaryOp op, const Value& a, const Value& b);
bool compare(Interpreter& interpreter, CompareOp op, const Value& a, const Value& b);
bool contains(Interpreter& interpreter, const Value& container, const Value& item);
Value negated(const Value& value);

/// value.name: methods first, then members. Undefined when there is none; Fault on an undefined
/// value.
Value get_attribute(Interpreter& interpreter, const Value& value, std::string_view name);
/// value[key]: members first, then methods.
Value get_item(Interpreter& interpreter, const Value& value, const Value& key);
/// value[begin:end:step]; a bound that is none is absent.
Value get_slice(Interpreter& interpreter, const Value& value, const Value& begin, const Value& end,
                const Value& step);

/// Whether values of this kind have a method of that name; calling it may still be refused.
bool has_method(const Value& value, std::string_view name);
Value call_method(Interpreter& interpreter, const Value& self, std::string_view name,
                  const CallArgs& args);
/// A function that templates know without being told; null for unknown names.
Builtin find_global(std::string_view name);
/// "%s and %d" % values.
Value format_percent(Interpreter& interpreter, const Text& form, const Value& values);

/// "{} and {name}".format(...), without conversions and format specifications.
Value format_braces(Interpreter& interpreter, const Text& form, const CallArgs& args);

/// "'name' undefined", for error texts.
std::string describe_undefined(const Value& value);

}  // namespace limbeck::jinja
