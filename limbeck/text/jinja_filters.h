/// Tables of the built-in filters, by what they work on.
#pragma once

#include "limbeck/text/jinja_ast.h"

#include <span>
#include <string_view>

namespace limbeck::jinja {

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

std::span<const NamedFilter> scalar_filters();    ///< strings, numbers, JSON
std::span<const NamedFilter> sequence_filters();  ///< lists and mappings

/// The title filter, which finds words otherwise than str.title().
Text title_words(const Text& text);

}  // namespace limbeck::jinja
