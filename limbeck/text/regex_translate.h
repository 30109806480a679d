/// Regular expressions of tokenizer files (Oniguruma, Ruby syntax) in the words of PCRE2.
///
/// The two engines agree on most of what tokenizers use, and silently differ on the rest; so each
/// construct is either known to mean the same, rewritten, or refused by name. Rewritten: \s and \S
/// (PCRE2 counts U+180E as space), \w (PCRE2 means other characters), \v (one character, not a
/// class), \uXXXX, script names (PCRE2 means the script extensions), {,n}.
#pragma once

#include <string>
#include <string_view>

namespace limbeck {

/// Throws FormatError `[tokenizer] NAME: regex ...; found ...`; `name` is the file.
std::string pcre2_pattern(std::string_view pattern, std::string_view name);

}  // namespace limbeck
