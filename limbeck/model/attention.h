/// Attention of new rows over a layer's cache and over themselves.
///
/// Parts (segments, tail, own rows) are attended where they lie and merged by log-sum-exp. Two
/// paths without autograd, wide (many rows, flash kernels) and decode (one row, our own kernel);
/// one plain path from the formula that is the oracle and carries gradients.
#pragma once

#include "limbeck/cache/kv_cache.h"
#include "limbeck/model/spec.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace limbeck {

struct KvPart;

/// n new rows of one sequence in one layer.
struct AttentionInput {
  const LayerCache* cache = nullptr;  ///< what was there before; its tail excludes the new rows
  at::Tensor queries;                 ///< [Hq, n, D] contiguous
  at::Tensor keys, values;            ///< [H, n, D], last dimension contiguous
  double scale = 1.0;
  /// Only for attention_wide over a full layer without segments: [n, tail rows + n] f32, added to
  /// the logits of the tail's and the own rows instead of the causal mask.
  at::Tensor mask = {};
};

/// Writes softmax(scale q k + bias) v over everything each row may see into out [n, Hq * D]
/// (contiguous, queries' dtype), and the log-sum-exps into *lse [Hq, n] f32 when asked.
void attention_wide(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse = nullptr);

/// The same for one row, queries f32 [Hq, D], out f32 [Hq, D]; keys and values are the row's own.
void attention_one(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse = nullptr);

/// What rows see in a part of their context, to be merged by log-sum-exp.
struct AttentionPart {
  at::Tensor out;  ///< [Hq, n, D] f32 or bf16, last dimension contiguous
  at::Tensor lse;  ///< [Hq, n] f32 log of the mass; -inf where a row sees nothing
};
/// Rows that all see all of a segment: queries [Hq, n, D] contiguous, of the keys' dtype.
AttentionPart attention_over(const LayerSegment& segment, const at::Tensor& queries, double scale);
/// `out` [n, Hq * D] with log masses `lse` [Hq, n] f32 becomes the attention over both parts; lse
/// is left as it is.
void attention_join(const at::Tensor& out, const at::Tensor& lse, const AttentionPart& part);

/// The plain form with autograd: gathers all parts densely, masks, softmax in f32. Returns [n, Hq *
/// D] in the queries' dtype; gradients reach queries, keys, values and the segments' keys, values
/// and bias.
at::Tensor attention_plain(const AttentionInput& in, at::Tensor* lse = nullptr);

}  // namespace limbeck
