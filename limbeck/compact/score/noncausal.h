/// Attention without a causal mask inside blocks of neighbours (arXiv 2507.08143).
#pragma once

#include "limbeck/compact/score/scorer.h"

namespace limbeck {

/// For each of n tokens, the probability mass that the queries of its block give it, summed over
/// the group: logits q.k are not scaled. queries [G, n, D], keys [n, D], bias [n] f32 or undefined;
/// blocks of `block` rows, the last one shorter. Returns [n] f32 with mean G in each block.
at::Tensor block_attention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& bias, int64_t block);
/// The same from the formula, row by row in f64.
at::Tensor block_attention_plain(const at::Tensor& queries, const at::Tensor& keys,
                                 const at::Tensor& bias, int64_t block);

/// block_attention of the slots `open` (as open_slots() gives them) of head h, whose own queries
/// are in in.own.
at::Tensor head_block_attention(const ScoreInput& in, int64_t h, const at::Tensor& open,
                                int64_t block);

}  // namespace limbeck
