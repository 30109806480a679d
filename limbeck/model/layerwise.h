/// A forward pass that goes layer by layer: all rows pass layer l before any passes layer l + 1.
///
/// For methods that need one layer's queries of a long text at once: only hidden states and one
/// layer's keys and values are held, whatever the number of layers. The results are those of
/// Model::forward (docs/methods.md, reference queries).
#pragma once

#include "limbeck/model/attention.h"
#include "limbeck/model/model.h"

#include <functional>
#include <span>
#include <vector>

namespace limbeck {

/// One layer's rows of every suffix, before they attend to the span.
struct LayerwiseRows {
  int64_t layer = 0;
  std::vector<at::Tensor> queries;  ///< per suffix [Hq, n, D] after norm and RoPE
  std::vector<at::Tensor> keys;     ///< per suffix [H, n, D] as they would be stored
  /// Per suffix [Hq, n] f32: log of the mass that a row finds outside the span (context around it,
  /// earlier rows of the suffix and itself).
  std::vector<at::Tensor> elsewhere;
};

/// What the rows are to see in the span. Empty: what the context holds there.
struct LayerwiseAnswer {
  LayerSegmentPtr instead = nullptr;  ///< attend to this (on-policy fits)
  std::vector<AttentionPart> seen;    ///< or: per suffix, what the visitor has computed already
};
using LayerwiseVisitor = std::function<LayerwiseAnswer(const LayerwiseRows&)>;

struct LayerwiseOptions {
  PositionRange span;    ///< of the context; may be empty
  int64_t block = 1024;  ///< rows that pass through a layer together
  ProgressFn progress = {};
  std::string_view stage = "layers";
};

/// Runs every suffix as if it alone stood behind `context`, which is read and not changed, and
/// calls the visitor once a layer, ring layers included (their span is empty). Streaming heads hold
/// nothing in the span: what they hold counts as outside it. No logits. Throws InvalidArgument like
/// Model::forward.
void forward_layerwise(const Model& model, const KvCache& context,
                       std::span<const std::vector<int32_t>> suffixes,
                       const LayerwiseVisitor& visitor, const LayerwiseOptions& options = {});

}  // namespace limbeck
