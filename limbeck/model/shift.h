/// Dropping old tokens so that a sequence can outlive the model's window (overflow policy `shift`).
///
/// What lies behind the dropped positions moves down by their number: one constant is subtracted
/// from all later positions and their keys are rotated by it with each layer's own frequencies
/// (positions within the cache as in arXiv 2309.17453). Legal with ragged
/// heads. What has been read keeps what it knew of the dropped tokens: nothing is computed anew.
#pragma once

#include "limbeck/model/model.h"

namespace limbeck {

/// Removes positions [drop.begin, drop.end) with their token ids; the logical length falls by
/// drop.size(). Protected ranges move along. Throws Mismatch for another model's cache and
/// InvalidArgument when the range is empty, reaches the newest token, cuts a protected range, or
/// holds what a sliding window or a streaming head still needs; then the cache is as it was.
void cache_shift(const Model& model, KvCache& cache, PositionRange drop);

/// Largest end of a range that cache_shift() would drop: rings and streaming heads lie behind it.
int64_t shift_limit(const KvCache& cache);

}  // namespace limbeck
