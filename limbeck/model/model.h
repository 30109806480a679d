/// Model: weights and the forward pass over KvCaches.
///
/// Goals: exact logits (float32 parity with the reference implementations), memory-speed decoding,
/// probes, gradients on request. Non-goals: several models on several devices at once, pipelines.
/// One thread runs a model at a time; each call may carry rows of several sequences.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/cache/kv_cache.h"
#include "limbeck/model/probe.h"
#include "limbeck/model/spec.h"
#include "limbeck/model/weights.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

class LayerFold;

/// New tokens of one sequence.
struct Feed {
  KvCache* cache = nullptr;
  std::span<const int32_t> tokens;
  Probe* probe = nullptr;
};

enum class LogitsWanted : uint8_t {
  none,
  last,  ///< of the last row of each feed
  all,   ///< of every row
};

struct ForwardOptions {
  LogitsWanted logits = LogitsWanted::last;
  bool hidden = false;  ///< return the final normalised hidden states of the rows that logits names
  /// Compacts each layer as soon as it is done (layer_fold.h); for a call with one feed. When it
  /// throws, the cache is of no use any more.
  LayerFold* fold = nullptr;
};

struct ForwardResult {
  at::Tensor logits;  ///< [rows, vocabulary] f32; undefined when none were wanted
  at::Tensor hidden;  ///< [rows, hidden] f32
};

class Model {
 public:
  Model(ModelSpec spec, Weights weights, DType dtype, std::string fingerprint = {});

  const ModelSpec& spec() const { return spec_; }
  const Weights& weights() const { return weights_; }
  Weights& weights() { return weights_; }
  DType dtype() const { return dtype_; }
  const std::string& fingerprint() const { return fingerprint_; }
  KvCache new_cache() const { return KvCache(spec_.cache_shape(dtype_)); }

  /// Runs new tokens of one or several sequences and appends them to their caches. No autograd.
  /// Throws InvalidArgument (no tokens, unknown id, a position beyond the model's window, a cache
  /// of another shape); then no cache has changed.
  ForwardResult forward(std::span<const Feed> feeds, const ForwardOptions& options = {}) const;
  ForwardResult forward(KvCache& cache, std::span<const int32_t> tokens,
                        const ForwardOptions& options = {}, Probe* probe = nullptr) const;

  /// The same rows as a differentiable function of weights, segments and whatever else requires
  /// grad. The cache is read, not appended to. Probes see tensors of the graph.
  ForwardResult forward_differentiable(const KvCache& cache, std::span<const int32_t> tokens,
                                       const ForwardOptions& options = {},
                                       Probe* probe = nullptr) const;

  /// Throws what forward() would throw for these tokens behind this cache.
  void check_feed(const KvCache& cache, std::span<const int32_t> tokens) const;

  /// f32 logits [n, vocabulary] of final hidden states [n, hidden] f32.
  at::Tensor head_logits(const at::Tensor& hidden) const;

  /// cos and sin [n, D / 2] f32 of a layer at the given positions.
  std::pair<at::Tensor, at::Tensor> rope(int64_t layer, std::span<const int64_t> positions) const;
  /// Inverse frequencies of a layer, [D / 2].
  const std::vector<float>& inverse_frequencies(int64_t layer) const;

 private:
  ModelSpec spec_;
  Weights weights_;
  DType dtype_;
  std::string fingerprint_;
  std::vector<std::vector<float>> frequencies_;  ///< one per distinct rope
  std::vector<size_t> layer_rope_;               ///< index into frequencies_ by layer
  friend class ForwardPass;
};

/// Final normalised hidden states [n, hidden] f32 of the rows from number `first` of a text on.
using PrefillHiddenFn = std::function<void(int64_t first, const at::Tensor& hidden)>;

struct PrefillOptions {
  int64_t chunk = 512;  ///< rows a forward call; the cache grows between calls
  ProgressFn progress = {};
  Probe* probe = nullptr;
  LogitsWanted logits = LogitsWanted::last;  ///< `all` collects every row
  PrefillHiddenFn on_hidden = {};            ///< called chunk by chunk
};

/// Runs a long text chunk by chunk. Returns logits [1, V] (last), [n, V] (all) or nothing.
/// On an error or Cancelled the cache is as it was.
at::Tensor prefill(const Model& model, KvCache& cache, std::span<const int32_t> tokens,
                   const PrefillOptions& options = {});

/// A model with random weights of sensible scale: exactness tests and cost measurements.
Model random_model(ModelSpec spec, DType dtype, uint64_t seed);

}  // namespace limbeck
