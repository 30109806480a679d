/// Compaction of a prefill chunk inside its forward call, for methods that choose layer by layer.
///
/// Scorers get the chunk's own queries as the model has them, nothing is read again, and a layer's
/// dropped entries are gone before the next layer runs. Methods that rank over the model or learn
/// from passes behind the text come after the call (bounded_prefill.cpp). Private to this room.
#pragma once

#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/compact.h"
#include "limbeck/compact/layer_plan.h"
#include "limbeck/model/layer_fold.h"

#include <memory>
#include <vector>

namespace limbeck {

/// One chunk: span and budget change from chunk to chunk, the method does not.
class ChunkFold : public LayerFold {
 public:
  /// Method and parts of `options`; `fits` must hold.
  ChunkFold(const Model& model, const KvCache& cache, const CompactOptions& options);

  /// Whether the method can be run so over `span`, of which `rows` rows come with the call.
  static bool fits(const KvCache& cache, const CompactOptions& options, PositionRange span,
                   int64_t rows);

  /// Next call: `span` of the cache and the new rows keeps `slots` a head.
  void begin(PositionRange span, int64_t slots);

  int64_t first_segment() const override;
  Result fold(const LayerSignals& signals) override;
  SegmentInfo info() override;

  /// Of the last call.
  CompactReport take_report();
  int64_t bytes_peak() const { return bytes_peak_; }  ///< of the calls since the beginning

 private:
  void choose(LayerPlan& plan, const LayerSegment& slots, const LayerSignals& signals);

  const Model& model_;
  const KvCache& cache_;
  const CompactOptions& options_;
  Preset preset_;
  std::vector<std::unique_ptr<Scorer>> scorers_;
  std::vector<std::unique_ptr<Allocator>> allocators_;
  std::unique_ptr<Builder> builder_;
  PositionRange span_;
  int64_t slots_ = 0, bytes_peak_ = 0;
  CompactReport report_;
};

}  // namespace limbeck
