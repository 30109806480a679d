#include "limbeck/compact/score_store.h"

#include <algorithm>

namespace limbeck {
namespace {

/// No head wants more than its scores were made for.
bool covers(const std::vector<std::vector<int64_t>>& made,
            const std::vector<std::vector<int64_t>>& wanted) {
  if (made.size() != wanted.size()) return false;
  for (size_t l = 0; l < made.size(); ++l)
    if (!std::equal(made[l].begin(), made[l].end(), wanted[l].begin(), wanted[l].end(),
                    [](int64_t m, int64_t w) { return w <= m; }))
      return false;
  return true;
}

}  // namespace

const StoredScores* ScoreStore::find(const ScoreKey& key, BudgetUse use,
                                     const std::vector<std::vector<int64_t>>& budgets) const {
  if (use == BudgetUse::all) return nullptr;
  const auto it =
      std::find_if(all_.begin(), all_.end(), [&](const StoredScores& s) { return s.key == key; });
  if (it == all_.end() || (use == BudgetUse::prefix && !covers(it->budgets, budgets)))
    return nullptr;
  return &*it;
}

void ScoreStore::keep(StoredScores scores) {
  std::erase_if(all_, [&](const StoredScores& s) { return s.key == scores.key; });
  all_.push_back(std::move(scores));
}

}  // namespace limbeck
