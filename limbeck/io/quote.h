/// Names out of untrusted files, made fit for an error text.
#pragma once

#include <string>
#include <string_view>

namespace limbeck {

/// The name in double quotes: at most 80 bytes of it, control bytes and quotes replaced by '?', so
/// that a hostile file can neither flood a log nor send escape sequences to a terminal.
std::string quote(std::string_view name);

}  // namespace limbeck
