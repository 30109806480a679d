/// Where a value stands in the text of a JSON document, for errors in files of many lines.
#pragma once

#include <cstdint>
#include <string_view>

namespace limbeck {

/// The line, from 1, on which the value at `path` ("data[0].paragraphs[2].context") begins in a
/// text that parse_json() took; of a value that is not there, that of the innermost list or object
/// on its way. Keys are compared as they are written: those with escapes are not found.
int64_t json_line_of(std::string_view text, std::string_view path);

}  // namespace limbeck
