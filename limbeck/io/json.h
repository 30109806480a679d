/// JSON out of untrusted files: one strict parser for headers, indexes and configurations.
///
/// Goals: duplicate keys, deep nesting, bytes after the document and floods of values are errors of
/// ours, never an exception of the JSON library. Non-goals: comments, streaming.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string_view>

namespace limbeck {

struct JsonLimits {
  int64_t max_bytes = 100'000'000;  ///< of text
  int64_t max_depth = 64;           ///< of nested lists and objects
  int64_t max_values =
      4'000'000;  ///< values of every kind, so that memory stays within a few 100 MB
};

/// Parses one document. `what` names the text in errors, brackets included: "[config] config.json".
/// Throws FormatError.
nlohmann::json parse_json(std::string_view text, std::string_view what,
                          const JsonLimits& limits = {});

/// For readers with a SAX handler of their own: what every text must satisfy before it is parsed.
/// (The JSON library takes a NUL byte for the end of the text and skips a byte order mark.)
void check_json_text(std::string_view text, std::string_view what, const JsonLimits& limits);

}  // namespace limbeck
