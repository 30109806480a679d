/// The letter that a free answer to a multiple-choice question gives.
///
/// Non-goals: choosing by probabilities (the runner does), more than one letter.
#pragma once

#include <optional>
#include <string_view>

namespace limbeck {

/// LongBench v2 (arXiv 2412.15204): asterisks are deleted; the first "The correct answer is (X)",
/// else the first "The correct answer is X" whose X stands alone. X is one of A-D.
std::optional<char> longbench_v2_letter(std::string_view response);

/// Answers to QuALITY-style questions (arXiv 2112.08608), four options. What stands before the last
/// "</think>" is dropped. Then, the first that is found:
/// 1. the last "answer is" or "answer:" with a letter behind it; brackets, asterisks, quotes,
///    blanks (and a colon behind "is") may stand between. A capital must end a word; a small letter
///    must be followed by the end, a line feed or one of ) . , : ;
/// 2. a capital that begins the text, followed by one of those;
/// 3. the last capital in parentheses.
std::optional<char> multiple_choice_letter(std::string_view response);

}  // namespace limbeck
