/// Rows sorted into cells, and within them into documents: the order on which every number rests.
///
/// Whatever order the rows come in (shards, resumed runs), cells and documents come out the same.
#pragma once

#include "limbeck/eval/report/sample_row.h"

#include <compare>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// What a number of a table belongs to. Modes never mix.
struct CellKey {
  std::string task;
  int64_t length = 0;
  std::string mode, method;
  double budget = 1.0;
  auto operator<=>(const CellKey&) const = default;
  /// "task|length|mode|method|budget": the seed of its intervals.
  std::string text() const;
};

struct CellDocument {
  std::string id;
  std::vector<const SampleRow*> rows;  ///< by question
};

struct CellRows {
  CellKey key;
  std::string group, category;
  std::vector<CellDocument> documents;  ///< by ordinal, then id

  int64_t questions() const;
};

/// Cells in order of first appearance once the rows are sorted by (task, length, ordinal, document,
/// method, budget, mode, question). The rows outlive the result. Throws InvalidArgument when a
/// question of a document appears twice in a cell, a document has two ordinals, or a budget is not
/// a number.
std::vector<CellRows> cells_of(std::span<const SampleRow> rows);

/// Mean score of each document's questions, in the documents' order.
std::vector<double> document_scores(const CellRows& cell);

struct PairedScores {
  std::vector<double> first, second;  ///< one a common document; means of the common questions
  int64_t questions = 0;
  int64_t others = 0;  ///< questions of the same number that expect something else: left out
  std::vector<double> differences() const;  ///< second - first
};
/// Of the questions that both cells have, by document, question and expected answers.
PairedScores paired_scores(const CellRows& first, const CellRows& second);

}  // namespace limbeck
