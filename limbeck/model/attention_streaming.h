/// Attention of a layer in which some KV heads stream (arXiv 2506.17121).
///
/// The layer's two groups of heads hold different things, so each attends as a layer of its own:
/// the streaming heads over sinks, ring and own rows, the others over segments, tail and own rows.
/// Nothing is masked that should be freed; the one mask, ChunkMask::window, hides held entries from
/// rows of a chunk that decoding would not have shown them.
#pragma once

#include "limbeck/model/attention.h"

#include <functional>

namespace limbeck {

/// Attends one group: the same contract as attention_wide(); n may be 1.
using GroupAttentionFn =
    std::function<void(const AttentionInput& group, const at::Tensor& out, at::Tensor* lse)>;

/// Writes attention over everything that each of the n rows may see into out [n, Hq * D], and the
/// log-sum-exps into *lse [Hq, n] f32 when asked. `position` is that of row 0.
void attention_by_groups(const AttentionInput& in, int64_t position, const at::Tensor& out,
                         at::Tensor* lse, const GroupAttentionFn& attend);

/// 0 where row i (at position + i) may see a column of [rows in use of the stream | own rows], else
/// minus infinity: [n, length + n] f32.
at::Tensor stream_window_mask(const LayerStream& stream, int64_t position, int64_t rows);

}  // namespace limbeck
