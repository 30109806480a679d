/// A forward pass that goes layer by layer: all rows pass layer l before any passes layer l + 1.
///
/// For methods that need one layer's queries of a long text at once: only hidden states and one
/// layer's keys and values are held, whatever the number of layers. The results are those of
/// Model::forward (attention-matching spec, section 7).
#pragma once

#include "limbeck/model/model.h"

#include <functional>
#include <span>
#include <vector>

namespace limbeck {

/// One layer's rows of every suffix, before the layer attends.
struct LayerwiseRows {
  int64_t layer = 0;
  std::vector<at::Tensor> queries;  ///< per suffix [Hq, n, D] after norm and RoPE
  std::vector<at::Tensor> keys;     ///< per suffix [H, n, D] as they would be stored
};

/// May return segments for the layer to attend to instead of the context's own (on-policy fits);
/// an empty list means: the context as it is.
using LayerwiseVisitor = std::function<std::vector<LayerSegmentPtr>(const LayerwiseRows&)>;

struct LayerwiseOptions {
  int64_t block = 512;  ///< rows that pass through a layer together
  ProgressFn progress = {};
  std::string_view stage = "layers";
};

/// Runs every suffix as if it alone stood behind `context`, which is read and not changed, and
/// calls the visitor once a layer, ring layers included. No logits. Throws InvalidArgument like
/// Model::forward.
void forward_layerwise(const Model& model, const KvCache& context,
                       std::span<const std::vector<int32_t>> suffixes,
                       const LayerwiseVisitor& visitor, const LayerwiseOptions& options = {});

}  // namespace limbeck
