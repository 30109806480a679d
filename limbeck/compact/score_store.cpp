#include "limbeck/compact/score_store.h"

#include "limbeck/base/timing.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

constexpr int64_t kMostBytes = int64_t{2} << 30;

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
  const auto bytes = [](const StoredScores& s) {
    int64_t sum = 0;
    if (s.seen)
      for (const std::vector<HeadAttention>& heads : *s.seen) sum += bytes_of(heads);
    return sum;
  };
  std::erase_if(all_, [&](const StoredScores& s) {
    if (s.key != scores.key) return false;
    bytes_ -= bytes(s);
    return true;
  });
  bytes_ += bytes(scores);
  all_.push_back(std::move(scores));
}

const StoredOwnQueries* ScoreStore::find_own(PositionRange span, int64_t rows) const {
  const auto it = std::find_if(own_.begin(), own_.end(), [&](const StoredOwnQueries& own) {
    return own.span == span && own.rows == rows;
  });
  return it == own_.end() ? nullptr : &*it;
}

void ScoreStore::keep_own(StoredOwnQueries queries) {
  for (const OwnQueries& layer : queries.layers)
    bytes_ += static_cast<int64_t>(layer.queries.nbytes());
  own_.push_back(std::move(queries));
}

bool ScoreStore::has_room(int64_t bytes) const { return bytes_ + bytes <= kMostBytes; }

int64_t bytes_of(const std::vector<HeadAttention>& heads) {
  int64_t bytes = 0;
  for (const HeadAttention& h : heads)
    for (const at::Tensor* x :
         {&h.outputs, &h.lse, &h.part, &h.coverage, &h.reader, &h.top, &h.mass})
      if (x->defined()) bytes += static_cast<int64_t>(x->nbytes());
  return bytes;
}

double for_each_shared_own_layer(ScoreStore* store, const Model& model, const KvCache& cache,
                                 PositionRange span, int64_t rows, const OwnQueriesFn& fn,
                                 const ProgressFn& progress) {
  const StoredOwnQueries* known = store != nullptr ? store->find_own(span, rows) : nullptr;
  if (known != nullptr) {
    const auto total = static_cast<int64_t>(known->layers.size());
    int64_t done = 0;
    for (const OwnQueries& own : known->layers) {
      fn(own);
      report_progress(progress, {"own queries", "layers", ++done, total});
    }
    return known->seconds;
  }
  StoredOwnQueries kept{span, rows, {}, 0.0};
  bool keeps = store != nullptr;
  int64_t bytes = 0;
  double inside = 0;
  Stopwatch watch;
  for_each_own_layer(
      model, cache, span, rows,
      [&](const OwnQueries& own) {
        Stopwatch fn_watch;
        fn(own);
        inside += fn_watch.seconds();
        if (!keeps) return;
        bytes += static_cast<int64_t>(own.queries.nbytes());
        keeps = store->has_room(bytes);
        if (!keeps) {
          kept.layers.clear();
          return;
        }
        kept.layers.push_back(own);
        // A view of a part would keep the whole.
        kept.layers.back().queries = own.queries.contiguous();
      },
      progress);
  kept.seconds = watch.seconds() - inside;
  if (keeps) store->keep_own(std::move(kept));
  return 0.0;
}

}  // namespace limbeck
