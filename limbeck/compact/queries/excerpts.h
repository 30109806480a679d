/// Excerpts: the text as the answer once more, but in passages whose order is drawn at random.
///
/// In a repeat (repeat.h) each token is found behind the one before it. A question jumps into the
/// text, and so do the first tokens of a passage: their queries look a place up by its content.
/// docs/results/books.md shows what that is worth.
#pragma once

#include "limbeck/compact/queries/repeat.h"

#include <vector>

namespace limbeck {

/// Tokens before a passage that are read with it, so that its first tokens have a context too.
inline constexpr int64_t kExcerptLead = 8;
/// Tokens of a suffix: passages have nothing to tell each other, and short suffixes attend to the
/// text rather than to themselves.
inline constexpr int64_t kExcerptSuffix = 256;

/// Every token of the span in passages of `length` tokens, in an order drawn by `seed`, in suffixes
/// of at most `chunk` tokens (less when the model's window is near), each behind its instruction.
/// Throws InvalidArgument for a length below 1, without prompt, and where fewer than
/// kRepeatChunkLeast tokens fit the window (naming window and lengths).
std::vector<ReferenceSuffix> excerpt_suffixes(const Model& model, const KvCache& cache,
                                              PositionRange span, const RepeatPrompt& prompt,
                                              int64_t length, int64_t chunk, int64_t seed);

}  // namespace limbeck
