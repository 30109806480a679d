/// One context: the text in the full cache, and everything that is measured against it.
#pragma once

#include "limbeck/eval/document_cache.h"
#include "limbeck/eval/eval_row.h"
#include "limbeck/eval/needle_context.h"

#include <string>
#include <vector>

namespace limbeck {

/// Tokens that an answer may have; a needle is found when its digits are among them.
inline constexpr int64_t kAnswerTokens = 12;

class ContextEval {
 public:
  /// Reads the text and predicts everything once with the full cache. Holds log-probabilities
  /// [scored tokens, vocabulary] f32. `lm` and `context` must outlive it.
  ContextEval(const LanguageModel& lm, const NeedleContext& context, const ChatFrame& frame,
              int64_t seed);

  /// Compacts a copy and measures it. The row's key is the caller's. Throws what compact() throws.
  /// Reference queries are captured once for each kind that methods ask for.
  EvalRow run(const EvalUnit& unit);

  /// Positions that measuring takes, answers included (the repeat pass adapts to the window).
  static int64_t tokens_needed(const NeedleContext& context);

 private:
  /// Log-probabilities of one cache on everything that is scored.
  struct Predictions {
    std::vector<at::Tensor> answers;  ///< per question
    at::Tensor continuation;
  };
  Predictions predict(KvCache& cache) const;
  void compare(const Predictions& p, EvalRow& row) const;
  void ask(KvCache& cache, EvalRow& row) const;

  const LanguageModel& lm_;
  const NeedleContext& context_;
  DocumentCache document_;
  Predictions reference_;
};

}  // namespace limbeck
