/// Scores kept from one compaction for more of the same text: evaluations try many ratios, and most
/// scorers say the same at each.
#pragma once

#include "limbeck/compact/score/scorer.h"
#include "limbeck/model/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace limbeck {

struct StoredQueries;

/// What scores come from, besides the cache.
struct ScoreKey {
  std::string scorer;
  OptionTexts options;
  PositionRange span;
  int64_t seed = 0;
  int64_t recent = 0;                        ///< ScoreInput::recent
  const StoredQueries* queries = nullptr;    ///< null: none, or those of a pass of its own
  int64_t rows = 0;                          ///< of these that the scorer is given
  std::vector<std::vector<uint8_t>> forced;  ///< of each full layer
  bool operator==(const ScoreKey&) const = default;
};

struct StoredScores {
  ScoreKey key;
  std::vector<std::vector<int64_t>> budgets;  ///< [full layers][H] that they were made for
  std::vector<std::vector<float>> scores;     ///< of each full layer
  double seconds = 0;                         ///< that they took
};

/// For one cache in one state: scores of another would be taken for its own.
class ScoreStore {
 public:
  /// Null when nothing is stored that serves these budgets (ScorerTraits::budget).
  const StoredScores* find(const ScoreKey& key, BudgetUse use,
                           const std::vector<std::vector<int64_t>>& budgets) const;
  /// In the place of what is there under the same key.
  void keep(StoredScores scores);

 private:
  std::vector<StoredScores> all_;
};

}  // namespace limbeck
