/// The byte-level alphabet: 256 printable characters that stand for the 256 bytes, so that a BPE
/// over characters becomes one over bytes. Printable Latin-1 stands for itself, the rest for U+0100
/// and up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limbeck {

/// The character of each byte, as UTF-8.
const std::array<std::string, 256>& byte_level_chars();

/// Bytes in the alphabet's characters.
void append_byte_level(std::string& out, std::string_view bytes);

/// Back to bytes; empty when a character is not of the alphabet.
std::optional<std::string> byte_level_bytes(std::string_view text);

}  // namespace limbeck
