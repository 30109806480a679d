/// Overlap of long answers by longest common subsequences, as two benchmarks compute it.
///
/// Goals: the values of the benchmarks' own scripts, their quirks included. Non-goals: other ROUGE
/// kinds, several references at once (take the best).
#pragma once

#include <string_view>

namespace limbeck {

/// LongBench's (arXiv 2308.14508): texts are split at '.' and the *sets* of words on one longest
/// common subsequence of every pair of pieces are united; F1 of that set's size over the numbers of
/// distinct words, 2PR / (P + R + 1e-8). Case-sensitive; a blank piece counts as one empty word. 0
/// when either text has no piece.
double rouge_l_set(std::string_view prediction, std::string_view gold);

/// HELMET's (arXiv 2410.02694): words are runs of a-z and 0-9 after lower-casing, those of four
/// characters and more stemmed (porter.h); F1 of their longest common subsequence. 0 when either
/// has no word.
double rouge_l(std::string_view prediction, std::string_view gold);

}  // namespace limbeck
