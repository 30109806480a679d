/// Scores of LongProc's (arXiv 2501.05414) long procedural answers: tables, number games, routes
/// and travel plans.
///
/// An answer that cannot be read scores 0; only golds that cannot be read are errors. Non-goals:
/// making instances.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace limbeck {

struct TableScore {
  double precision = 0;  ///< share of predicted rows that equal some gold row
  double recall = 0;     ///< share of gold rows that were found
  double f1 = 0;
};

/// Tables of tab-separated cells with a header. The prediction's table stands between "```tsv" and
/// the last "```" behind it; without a closing one it is everything, minus an opening fence. Cells
/// compare by their normal form (text_norm.h) without spaces. A last row of another width than the
/// header's is dropped, every other such row becomes all "N/A". Throws InvalidArgument for a gold
/// without a header and a row.
TableScore table_score(std::string_view prediction, std::string_view gold);

/// 1 when the lines `a op b = c` between <solution> and </solution> (the last such pair, letters of
/// either case) are as many as numbers minus one, each takes two numbers that are available, is
/// right (a division leaves nothing) and makes c available, and the last c is the target.
double countdown_score(std::string_view prediction, std::span<const int64_t> numbers,
                       int64_t target);

struct RouteScore {
  double exact = 0;    ///< 1 when equal but for blanks at both ends
  double partial = 0;  ///< leading lines that are equal / lines of the gold
};
RouteScore route_score(std::string_view prediction, std::string_view gold);

/// 1 when the plan between <plan> and </plan> visits the gold cities in order for the gold days:
/// `cities` and `days` are separated by "**". The plan's lines hold day ranges "4-7" and flights
/// "Day 4 ... from Oslo to Rome"; a stay counts both of its flight days. Throws InvalidArgument for
/// golds without a city or whose days are not as many numbers.
double travel_score(std::string_view prediction, std::string_view cities, std::string_view days);

}  // namespace limbeck
