/// Parser of the template language: tokens to a syntax tree of bounded depth.
#pragma once

#include "limbeck/text/jinja_ast.h"

#include <string_view>

namespace limbeck::jinja {

/// Throws FormatError `[template] NAME line L column C: ...` for syntax errors, for constructs
/// outside the subset, for unknown filters and tests, and for nesting beyond kMaxDepth.
Block parse(std::string_view source, std::string_view name);

/// Null for unknown names.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

}  // namespace limbeck::jinja
