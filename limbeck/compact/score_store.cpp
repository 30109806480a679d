#include "limbeck/compact/score_store.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

int64_t bytes_of(const at::Tensor& x) { return x.defined() ? static_cast<int64_t>(x.nbytes()) : 0; }

int64_t bytes_of(const std::vector<std::vector<HeadAttention>>& layers) {
  int64_t bytes = 0;
  for (const std::vector<HeadAttention>& heads : layers)
    for (const HeadAttention& h : heads)
      for (const at::Tensor* x :
           {&h.outputs, &h.lse, &h.part, &h.coverage, &h.reader, &h.top, &h.mass})
        bytes += bytes_of(*x);
  return bytes;
}

int64_t bytes_of(const StoredOwnQueries& own) {
  int64_t bytes = 0;
  for (const OwnQueries& layer : own.layers) bytes += bytes_of(layer.queries);
  return bytes;
}

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
  if (scores.seen) {
    int64_t bytes = bytes_of(*scores.seen);
    for (const StoredScores& s : all_)
      if (s.seen) bytes += bytes_of(*s.seen);
    if (bytes > kMostBytes) scores.seen.reset();
  }
  all_.push_back(std::move(scores));
}

const StoredOwnQueries* ScoreStore::find_own(PositionRange span, int64_t rows) const {
  const auto it = std::find_if(own_.begin(), own_.end(), [&](const StoredOwnQueries& own) {
    return own.span == span && own.rows == rows;
  });
  return it == own_.end() ? nullptr : &*it;
}

void ScoreStore::keep_own(StoredOwnQueries queries) {
  int64_t bytes = bytes_of(queries);
  for (const StoredOwnQueries& own : own_) bytes += bytes_of(own);
  if (bytes <= kMostBytes) own_.push_back(std::move(queries));
}

}  // namespace limbeck
