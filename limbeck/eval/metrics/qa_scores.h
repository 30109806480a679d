/// Scores of short answers, each in [0, 1]: word overlap, equality, containment.
///
/// Published with SQuAD (arXiv 1606.05250), LongBench (arXiv 2308.14508), HELMET (arXiv 2410.02694)
/// and RULER (arXiv 2404.06654). Non-goals: judging by a model.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace limbeck {

/// F1 of the normal form's words as multisets: 2PR / (P + R), 0 without a common word.
double qa_f1(std::string_view prediction, std::string_view gold);
/// qa_f1, but 0 when one side alone, or both differently, is "yes", "no" or "noanswer" (HELMET).
double f1_yn(std::string_view prediction, std::string_view gold);
/// 1 when the normal forms are equal.
double em(std::string_view prediction, std::string_view gold);
/// 1 when the normal form of `gold` stands in that of `prediction`; an empty one always does.
double subem(std::string_view prediction, std::string_view gold);
/// 1 when the lower-cased `gold` stands in the lower-cased `prediction`, nothing else changed.
double contain(std::string_view prediction, std::string_view gold);

using PairMetric = double (*)(std::string_view prediction, std::string_view gold);
/// The best over the golds; 0 for none.
double best_over_golds(PairMetric metric, std::string_view prediction,
                       std::span<const std::string> golds);

/// A prediction as RULER compares it: blanks stripped, U+0000..U+001F turned to line feeds,
/// stripped again.
std::string ruler_clean(std::string_view prediction);
/// Fraction of the outputs that stand in the cleaned prediction, whatever their case; 0 for none.
double ruler_all(std::string_view prediction, std::span<const std::string> outputs);
/// 1 when any output stands in the cleaned prediction, whatever its case.
double ruler_part(std::string_view prediction, std::span<const std::string> outputs);

}  // namespace limbeck
