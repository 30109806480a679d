/// Similarity of lines of code, as LongBench (arXiv 2308.14508) scores completions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace limbeck {

/// The line of a prediction that counts: the first without a backtick, '#' or "//", after line
/// feeds at the begin; empty when there is none.
std::string code_line(std::string_view prediction);

/// Similarity of code_line(prediction) and `gold` in [0, 1], in steps of 0.01: 0 when either is
/// empty, 1 when equal, else 2M / (|a| + |b|) with M matching characters, rounded half to even.
double code_sim(std::string_view prediction, std::string_view gold);

/// M of Ratcliff and Obershelp: the longest common block (first in a, then in b, of equals), then
/// the same left and right of it. When b has 200 characters or more, those that make up more than
/// one in a hundred of it, plus one, begin no block; found blocks extend over them, and so does the
/// empty block at the begin of each range. Time up to |a| |b| a block.
int64_t matching_characters(std::u32string_view a, std::u32string_view b);

}  // namespace limbeck
