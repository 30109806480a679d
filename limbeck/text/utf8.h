/// UTF-8: strict validation, reading and writing of single characters, replacement of invalid
/// bytes.
///
/// Strict means no overlong forms, no surrogates, nothing above U+10FFFF. Replacement follows the
/// usual practice of one U+FFFD per maximal invalid part, so that it gives what other decoders
/// give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limbeck {

/// Offset of the first byte that does not begin a valid character; empty when all of `text` is
/// valid.
std::optional<size_t> find_invalid_utf8(std::string_view text);

struct Utf8Char {
  char32_t code = 0;
  size_t length = 0;  ///< bytes, 1 to 4
};
/// The character that begins at byte `at` of valid text; at < text.size().
Utf8Char read_utf8(std::string_view text, size_t at);
/// Length in bytes of the character that begins with this byte, in valid text.
size_t utf8_length(char lead);
void append_utf8(std::string& out, char32_t code);

std::string replace_invalid_utf8(std::string_view bytes);
/// How many bytes (0 to 3) at the end begin a character that further bytes could complete.
size_t unfinished_utf8_tail(std::string_view bytes);

/// The White_Space property.
bool is_unicode_space(char32_t code);

}  // namespace limbeck
