/// Reference queries: what methods learn attention from, delivered layer by layer and block by
/// block.
#pragma once

#include "limbeck/cache/kv_cache.h"

#include <ATen/core/Tensor.h>

namespace limbeck {

/// n queries of one layer, asked while the model repeats `chunk` of the span.
struct QueryBlock {
  int64_t layer = 0;
  const LayerCache* cache =
      nullptr;                ///< the layer before these rows (earlier fed rows are in its tail)
  PositionRange span, chunk;  ///< what is being compacted; the part being repeated
  at::Tensor queries;         ///< [Hq, n, D] after norm and RoPE
  at::Tensor fed_keys;  ///< [H, m, D]: keys of all fed rows so far, the last n are these rows' own
  double scale = 1.0;
};

class QueryObserver {
 public:
  virtual ~QueryObserver() = default;
  virtual void on_queries(const KvCache& cache, const QueryBlock& block) = 0;
};

}  // namespace limbeck
