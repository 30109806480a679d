/// Text as the metrics of the published benchmarks see it: lower case, words, normal form.
///
/// All functions accept any bytes; what is no valid UTF-8 counts as U+FFFD. Blank means the
/// Unicode white space and U+001C..U+001F, which the benchmarks' own scripts split at too.
/// Non-goals: languages without blanks between words, locale rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Simple lower case of every character (Unicode); one character may give two (U+0130).
std::string text_lower(std::string_view text);

/// Without blanks at both ends.
std::string text_strip(std::string_view text);

/// Pieces between runs of blanks; none for an empty text.
std::vector<std::string> text_words(std::string_view text);

/// Pieces between line feeds; at least one, which may be empty.
std::vector<std::string> text_lines(std::string_view text);

std::u32string text_code_points(std::string_view text);

/// Normal form of SQuAD answers (arXiv 1606.05250): lower case, the 32 ASCII punctuation characters
/// deleted, the whole words a, an and the taken out, one space between words.
std::string text_norm(std::string_view text);

}  // namespace limbeck
