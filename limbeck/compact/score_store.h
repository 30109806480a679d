/// What one compaction leaves for more of the same text: evaluations try many ratios and methods,
/// and most scores, and what they are made of, are the same at each.
#pragma once

#include "limbeck/compact/score/scorer.h"
#include "limbeck/model/model.h"

#include <cstdint>
#include <optional>
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
  /// Of scores made during a pass [layers][H]: what all rows saw, as far as the scorer tells.
  /// Nothing where nobody asked, or where there was no room for it.
  std::optional<std::vector<std::vector<HeadAttention>>> seen = {};
};

/// A text's own queries, layer by layer.
struct StoredOwnQueries {
  PositionRange span;
  int64_t rows = 0;  ///< that were asked for
  std::vector<OwnQueries> layers;
  double seconds = 0;  ///< of reading the text for them
};

/// For one cache in one state: scores of another would be taken for its own.
class ScoreStore {
 public:
  /// Null when nothing is stored that serves these budgets (ScorerTraits::budget).
  const StoredScores* find(const ScoreKey& key, BudgetUse use,
                           const std::vector<std::vector<int64_t>>& budgets) const;
  /// In the place of what is there under the same key.
  void keep(StoredScores scores);

  const StoredOwnQueries* find_own(PositionRange span, int64_t rows) const;
  void keep_own(StoredOwnQueries queries);

  /// Whether so many more bytes of what rows see and of own queries have room; what has none is
  /// computed again by the next compaction. Scores are small and always kept.
  bool has_room(int64_t bytes) const;

 private:
  std::vector<StoredScores> all_;
  std::vector<StoredOwnQueries> own_;
  int64_t bytes_ = 0;
};

int64_t bytes_of(const std::vector<HeadAttention>& heads);

/// for_each_own_layer() with the rows that the store has, or that it keeps from now on, where there
/// is a store and it has room. Returns the seconds of the pass over the text that this saved.
double for_each_shared_own_layer(ScoreStore* store, const Model& model, const KvCache& cache,
                                 PositionRange span, int64_t rows, const OwnQueriesFn& fn,
                                 const ProgressFn& progress);

}  // namespace limbeck
