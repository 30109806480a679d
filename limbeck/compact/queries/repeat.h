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
      after_quote;  ///< later chunks quote where to start between these
};
/// In the model's chat format; `frame` as the context itself was wrapped.
RepeatPrompt repeat_prompt(const LanguageModel& lm, const ChatFrame& frame);

/// Tokens of the previous chunk that a later chunk's instruction quotes.
inline constexpr int64_t kRepeatQuote = 8;
/// A window that leaves fewer tokens than this for a chunk is refused.
inline constexpr int64_t kRepeatChunkLeast = 256;

/// The span in chunks (at most `chunk` tokens, less when the model's window is near), each behind
/// its instruction. Throws InvalidArgument naming window and lengths when fewer than
/// kRepeatChunkLeast tokens fit.
std::vector<ReferenceSuffix> repeat_suffixes(const Model& model, const KvCache& cache,
                                             PositionRange span, const RepeatPrompt& prompt,
                                             int64_t chunk);

}  // namespace limbeck
