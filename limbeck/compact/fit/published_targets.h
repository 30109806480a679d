/// What the published fits of a head compare with (arXiv 2602.16284, sections 2 and 3), block of
/// rows after block of rows: no matrix of all slots is ever held.
#pragma once

#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/fit/head_attention.h"

#include <functional>

namespace limbeck {

/// For reference rows [n] and kept slots [t]. Unless the problem knows top and mass beforehand,
/// they come from the same products as the logits, so that with every slot kept the mass is the sum
/// of its features to the last digits.
struct PublishedTargets {
  at::Tensor logits;   ///< [n, t] f32 of the kept slots
  at::Tensor top;      ///< [n] f32 highest logit over all slots: the shift of the max metric
  at::Tensor mass;     ///< [n] f32 sum over all slots of exp(logit - top)
  at::Tensor lse;      ///< [n] f32
  at::Tensor outputs;  ///< [n, D] f32
};

/// kept [t] i64 slot numbers. Of a problem that knows outputs, lse, top and mass only the logits
/// are computed.
PublishedTargets published_targets(const HeadProblem& problem, const at::Tensor& kept);

/// Everything but the logits. `features` gets the softmax of each block of rows over all slots
/// [m, T] and its first row.
PublishedTargets published_targets(
    const HeadProblem& problem,
    const std::function<void(const at::Tensor& a, int64_t first)>& features);

/// As a scorer leaves them for the builder.
HeadAttention as_seen(PublishedTargets targets);

}  // namespace limbeck
