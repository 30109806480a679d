/// Compaction inside a forward call: each full layer as soon as its rows have attended.
///
/// The rows of a call attend to everything that a layer holds; what is dropped is dropped before
/// the next layer runs, so that one layer's new rows are held at a time and not all layers'.
/// Non-goals: choices that look at several layers, and passes behind the text; these come after the
/// call.
#pragma once

#include "limbeck/cache/kv_cache.h"
#include "limbeck/model/probe.h"

namespace limbeck {

class LayerFold {
 public:
  virtual ~LayerFold() = default;
  /// Segments from this number on, with the tail and the new rows, become one.
  virtual int64_t first_segment() const = 0;
  struct Result {
    LayerSegmentPtr segment;    ///< of what the layer keeps; streaming heads have nothing in it
    int64_t working_bytes = 0;  ///< held beside the cache while it was made
  };
  /// `signals` has queries, keys and values of the rows.
  virtual Result fold(const LayerSignals& signals) = 0;
  /// Of the new segment, when the last layer is done.
  virtual SegmentInfo info() = 0;
};

}  // namespace limbeck
