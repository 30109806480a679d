/// Reference queries: what methods learn attention from.
///
/// They come from suffixes: token sequences that the model is made to read behind the context (a
/// repeat of the text, a conversation about it, its own continuations). All suffixes pass the model
/// together, layer by layer, so one layer's queries are at hand at once and nothing else is held
/// (docs/methods.md).
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/compact/fit/head_attention.h"
#include "limbeck/model/layerwise.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// Tokens to be read behind the context; every one of them gives queries.
struct ReferenceSuffix {
  std::vector<int32_t> tokens;
  PositionRange chunk;  ///< what it repeats; the whole span for suffixes that repeat nothing
  double weight = 1.0;  ///< row weight omega of its queries
  /// The span's own tokens where they stand (prefill queries, matched without a causal mask); the
  /// text up to the span's end is read again, `tokens` stays empty.
  bool in_place = false;
};

/// One suffix's rows of one layer.
struct QueryChunk {
  PositionRange chunk;
  double weight = 1.0;
  at::Tensor queries;  ///< [Hq, n, D] after norm and RoPE
  /// [Hq, n] f32: log of the mass that a row finds outside the span (in-place rows: before it).
  at::Tensor elsewhere;
  std::vector<int32_t> rows;  ///< [n] row numbers within the suffix; empty = 0 .. n - 1
};

struct LayerQueries {
  int64_t layer = 0;
  double scale = 1.0;
  std::vector<QueryChunk> chunks;

  int64_t tokens() const;  ///< rows of all chunks, per query head
  /// Every k-th token, so that about `limit` rows are left for each KV head (its group counted).
  LayerQueries subset(int64_t limit, int64_t kv_heads) const;
  /// All rows of a KV head's group as f32 [group * tokens, D], query head by query head, and the
  /// row weights [group * tokens] f32.
  std::pair<at::Tensor, at::Tensor> rows_of(int64_t kv_head, int64_t kv_heads) const;
  /// The same rows in their own dtype.
  at::Tensor group_rows(int64_t kv_head, int64_t kv_heads) const;
  /// Marks the rows held out of a fit: 15 % of the tokens, in runs of 32 neighbours, the same for
  /// every query head. Order of rows_of(). 0 = fitted, 1 = decides, 2 = reports.
  std::vector<uint8_t> held_out(int64_t group) const;
};

/// What comes back from a layer's visit. Empty: the model goes on with the context as it is.
struct LayerAnswer {
  LayerSegmentPtr instead = nullptr;  ///< what the model is to read in the span (on-policy)
  /// Or what all rows see in the span, if the visitor knows [H]: then it is not computed again.
  const std::vector<HeadAttention>* seen = nullptr;
};
/// Called layer by layer (full layers only).
using LayerQueriesFn = std::function<LayerAnswer(const LayerQueries&)>;

/// Runs the suffixes behind the cache, which is not changed. Throws InvalidArgument when there is
/// no suffix or one does not fit the model's window.
void for_each_query_layer(const Model& model, const KvCache& cache, PositionRange span,
                          std::span<const ReferenceSuffix> suffixes, const LayerQueriesFn& fn,
                          const ProgressFn& progress = {});

/// Queries of all layers, kept: several compactions of one context share them.
struct StoredQueries {
  std::vector<LayerQueries> layers;  ///< [layers]; empty entries for ring layers
};
StoredQueries store_queries(const Model& model, const KvCache& cache, PositionRange span,
                            std::span<const ReferenceSuffix> suffixes,
                            const ProgressFn& progress = {});

}  // namespace limbeck
