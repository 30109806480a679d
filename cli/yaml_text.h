/// YAML as the JSON value it stands for, so that plan files can be written in either.
///
/// Every scalar becomes a text: flags are texts, and "0.10" or "no" stay as they were written.
/// Nothing, ~ and null become null.
/// Anchors and aliases are followed. Non-goals: tags, merge keys, several documents.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace limbeck::cli {

/// `what` names the text in errors. Throws FormatError: no valid YAML or UTF-8, a key twice in one
/// mapping or that is no scalar, several documents, more than 64 levels, 100,000 values or 4 MB.
nlohmann::json parse_yaml(const std::string& text, const std::string& what);

}  // namespace limbeck::cli
