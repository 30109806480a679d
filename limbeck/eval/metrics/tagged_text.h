/// Text between tags in an answer.
#pragma once

#include <optional>
#include <string_view>

namespace limbeck {

/// What stands between the last <name> that is closed and its </name>; letters of either case.
/// `name` is lower-case ASCII.
std::optional<std::string_view> last_tagged(std::string_view text, std::string_view name);

}  // namespace limbeck
