/// SHA-256 (FIPS 180-4): names for contents that others can compute too.
///
/// Goals: short, no dependency. Non-goals: speed on large files (checksum.h is for those).
#pragma once

#include <string>
#include <string_view>

namespace limbeck {

/// 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace limbeck
