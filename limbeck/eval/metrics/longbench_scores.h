/// Scores of LongBench (arXiv 2308.14508) for its classification, counting and retrieval sets.
///
/// Goals: the values of the benchmark's own script, its quirks included. Non-goals: the Chinese
/// sets that need a segmenter.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace limbeck {

/// The first line, after line feeds at the begin are dropped.
std::string first_line(std::string_view prediction);

/// 1 / n when the gold class is among the n classes that stand in the prediction (as they are
/// written), else 0. Classes that are a proper part of the gold's text are taken out of the n, but
/// the walk that takes them out skips the class behind each, as the published one does.
double classification_score(std::string_view prediction, std::string_view gold,
                            std::span<const std::string> classes);

/// Share of the prediction's digit runs that equal `gold` as text; 0 without any.
double count_score(std::string_view prediction, std::string_view gold);

/// The number that a gold of the retrieval sets names: "Paragraph 7" -> "7"; nothing when it names
/// none.
std::optional<std::string> paragraph_number(std::string_view gold);

/// count_score against the gold's number. Throws InvalidArgument when the gold names none.
double retrieval_score(std::string_view prediction, std::string_view gold);

}  // namespace limbeck
