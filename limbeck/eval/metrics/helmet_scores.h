/// Answers as HELMET (arXiv 2410.02694) reads them, and its score of rankings.
#pragma once

#include "limbeck/eval/metrics/qa_scores.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace limbeck {

/// What stands behind the first `prefix` (ASCII letters of either case) up to the line's end;
/// without a prefix the first line. Stripped; a prefix that begins it once more is dropped.
std::string helmet_parse(std::string_view output, std::string_view prefix = "Answer:");

/// The best of the whole output and of its parsed form, over the golds.
double helmet_best(PairMetric metric, std::string_view output, std::string_view parsed,
                   std::span<const std::string> golds);

/// A multiple-choice answer: 1 when the output or its parsed form equals the letter (normal form)
/// or "X. option", or when the output contains "X. option", whatever the case.
double helmet_choice(std::string_view output, std::string_view parsed, char letter,
                     std::string_view option);

/// Scores of ids in a ranking "3 > 1 > 2": [ ] : and "id" are deleted, then the longest run of
/// integers (in characters; the first of equals) separated by '>' is taken; the first occurrence at
/// place i of n gets n - i. Empty when there is no integer. Ids are texts: "07" is not "7".
std::map<std::string, int64_t> parse_ranking(std::string_view output);

/// NDCG@10 of a ranking's scores: linear gain, discount log2(rank + 1), ideal over all labels; ids
/// without a label gain nothing but take a rank. 0 when no label is positive.
double ndcg_at_10(const std::map<std::string, int64_t>& ranking,
                  const std::map<std::string, double>& labels);

}  // namespace limbeck
