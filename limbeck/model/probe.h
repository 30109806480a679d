/// Probes: how methods see what only a forward pass sees.
///
/// A probe belongs to one feed of one forward call; nothing is global, nothing is hooked by name,
/// and what nobody asks for is not computed. Tensors are views that are valid during the call only.
#pragma once

#include "limbeck/cache/kv_cache.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace limbeck {

/// What a probe may ask for besides keys and values, as a bit mask.
enum ProbeNeeds : uint32_t {
  kProbeNothing = 0,
  kProbeHidden = 1,     ///< the normalised input of the attention block
  kProbeQueries = 2,    ///< queries after norm and RoPE
  kProbePreRope = 4,    ///< queries and keys after norm, before RoPE
  kProbeAttention = 8,  ///< the attention output before W_O
  kProbeLse = 16,       ///< log-sum-exp of each query over all slots it sees
  kProbeSkip = 32,      ///< do not call on_layer for this layer at all
};

/// One layer of one feed: n new rows behind a cache that does not hold them yet. The dtype is the
/// weights' or f32 (few rows); float32 for lse.
struct LayerSignals {
  int64_t layer = 0;
  int64_t first_position = 0;         ///< logical position of row 0
  const LayerCache* cache = nullptr;  ///< before this feed
  at::Tensor hidden;                  ///< [n, hidden]
  at::Tensor queries;                 ///< [Hq, n, D]
  at::Tensor keys, values;            ///< [H, n, D] as they will be stored
  at::Tensor queries_pre_rope;        ///< [Hq, n, D]
  at::Tensor keys_pre_rope;           ///< [H, n, D]
  at::Tensor attention;               ///< [n, Hq * D]; part of the graph when differentiable
  at::Tensor lse;                     ///< [Hq, n]
};

class Probe {
 public:
  virtual ~Probe() = default;
  virtual uint32_t needs(int64_t layer) const = 0;
  virtual void on_layer(const LayerSignals& signals) = 0;
};

}  // namespace limbeck
