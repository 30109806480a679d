/// The repeat pass: the model is asked to repeat the text, the text itself is fed as the answer,
/// and every fed token's queries become reference queries (KVzip, arXiv 2505.23416; Attention
/// Matching, 2602.16284, section 3). Nothing is decoded.
#pragma once

#include "limbeck/compact/queries/reference_queries.h"
#include "limbeck/model/generate.h"

#include <vector>

namespace limbeck {

/// Token ids around the repeated text.
struct RepeatPrompt {
  std::vector<int32_t> first;  ///< instruction and assistant header of the first chunk
  std::vector<int32_t> before_quote,
      after_quote;                   ///< later chunks quote where to start between these
  std::vector<int32_t> excerpts;     ///< instruction and assistant header of excerpts.h
  std::vector<int32_t> open, close;  ///< around each passage there
};
/// In the model's chat format; `frame` as the context itself was wrapped.
RepeatPrompt repeat_prompt(const LanguageModel& lm, const ChatFrame& frame);

/// Tokens of the previous chunk that a later chunk's instruction quotes.
inline constexpr int64_t kRepeatQuote = 8;
/// A window that leaves fewer tokens than this for a chunk is refused.
inline constexpr int64_t kRepeatChunkLeast = 256;

/// Tokens of text that fit behind the cache and the longest instruction, at most `chunk`. Throws
/// InvalidArgument without a prompt, and naming window and lengths when fewer than
/// kRepeatChunkLeast fit (less for shorter spans and chunks).
int64_t repeat_room(const Model& model, const KvCache& cache, PositionRange span,
                    const RepeatPrompt& prompt, int64_t chunk);

/// The span in chunks (at most `chunk` tokens, less when the model's window is near), each behind
/// its instruction. Throws as repeat_room() does.
std::vector<ReferenceSuffix> repeat_suffixes(const Model& model, const KvCache& cache,
                                             PositionRange span, const RepeatPrompt& prompt,
                                             int64_t chunk);

}  // namespace limbeck
