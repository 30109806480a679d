/// The text's own queries: what it asked of itself while it was read.
///
/// A cache holds keys and values but no queries, so the tokens are read once more, layer by layer,
/// behind what the cache holds before them. One layer's rows are made at a time. Non-goals:
/// questions to come (reference_queries.h).
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/cache/kv_cache.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>

namespace limbeck {

class Model;

inline constexpr int64_t kAllRows = std::numeric_limits<int64_t>::max();

/// One layer's rows: n consecutive tokens.
struct OwnQueries {
  int64_t layer = 0;
  int64_t first = 0;   ///< logical position of row 0
  double scale = 1.0;  ///< of the logits
  at::Tensor queries;  ///< [Hq, n, D] of the model's type, after norm and RoPE
  int64_t rows() const { return queries.size(1); }
  /// The last `count` rows.
  OwnQueries last(int64_t count) const;
};
using OwnQueriesFn = std::function<void(const OwnQueries&)>;

/// Calls fn for every full layer in order with the queries of the last min(rows, span.size())
/// tokens of the span. Costs a forward pass of these tokens behind the cache's slots before them; a
/// model with sliding windows reads the whole text, because rings no longer hold what lies back.
/// Throws InvalidArgument like Model::forward.
///
/// Where heads stream and the text is read from its start, they stream again; else the rows see of
/// earlier tokens what these heads still hold.
void for_each_own_layer(const Model& model, const KvCache& cache, PositionRange span, int64_t rows,
                        const OwnQueriesFn& fn, const ProgressFn& progress = {});

/// Tokens that for_each_own_layer() reads: auxiliary rows of the cache's footprint.
int64_t own_rows_read(const KvCache& cache, PositionRange span, int64_t rows);

}  // namespace limbeck
