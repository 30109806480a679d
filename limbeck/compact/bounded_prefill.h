/// Reading a text much longer than the cache may be: chunk by chunk, compacted after each.
///
/// Rows of a chunk attend to everything that is held and to the chunk's rows before them; nothing
/// of a layer is freed before they have (arXiv 2506.17121). Methods that
/// choose layer by layer from keys, values and the chunk's own queries free each layer before the
/// next one runs, with the queries that the model really has; any other method of compact/methods
/// is run after the chunk. The peak is what is held plus one chunk, whatever the length of the
/// text.
#pragma once

#include "limbeck/compact/compact.h"
#include "limbeck/footprint/nominal.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// What a compaction after a chunk looks at. Append-only.
enum class ChunkRule : uint8_t {
  everything,  ///< all that has been kept so far competes again: a budget bounds the peak
  chunk,       ///< only the chunk's own entries; survivors stay (per-chunk eviction)
};

struct BoundedPrefillOptions {
  /// Method, and ratio or budget. A ratio is of what has been read (everything) or of each chunk; a
  /// budget is what is held at the end, and with `everything` after each chunk. `span` is ignored.
  CompactOptions compact;
  ChunkRule rule = ChunkRule::everything;
  int64_t chunk = 0;  ///< rows; 0 = auto_chunk() of the text
  /// Free each layer inside the forward call where the method can choose so; else after the chunk.
  bool by_layer = true;
  int64_t begin = 0;  ///< first token that may be compacted; those before it stay verbatim
  /// Tokens of the question, when it is known: read behind every chunk as the only reference
  /// queries and never kept ("patched"). Results are query-aware and labelled so.
  std::vector<int32_t> patch;
  ProgressFn progress;
};

struct BoundedPrefillReport {
  int64_t chunk = 0;  ///< rows, as used
  int64_t compactions = 0;
  double nominal_peak = 0;   ///< entries a head: from lengths alone (footprint/nominal.h)
  double measured_peak = 0;  ///< highest mean entries a full layer's head held before a compaction
  /// Highest bytes held: of the cache after a chunk was read, or, of methods that choose layer by
  /// layer, at any time while it was, with the copies that compaction makes.
  int64_t bytes_peak = 0;
  CompactReport compaction;  ///< entries, kept and notes over the text; seconds summed
};

/// Appends the tokens to the cache. Throws what prefill() and compact() throw, and InvalidArgument
/// for a patch with a method that does not learn from queries; then the cache is as it was.
BoundedPrefillReport prefill_bounded(const Model& model, KvCache& cache,
                                     std::span<const int32_t> tokens,
                                     const BoundedPrefillOptions& options);

/// Entries a head holds at most when `run` is read behind `before` verbatim entries.
int64_t nominal_bounded_peak(const NominalRun& run, const BoundedPrefillOptions& options,
                             int64_t before);

}  // namespace limbeck
