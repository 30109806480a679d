/// One document of a task: every method at every ratio answers its questions from its own cache.
///
/// Compaction sees the document only; the question comes afterwards (query-agnostic). Questions
/// never see each other. The full cache's own answers are the reference for "kl", "top1" and
/// "own_nll".
#pragma once

#include "limbeck/eval/document_cache.h"
#include "limbeck/eval/run/sample_log.h"
#include "limbeck/eval/run/task_prompt.h"

#include <optional>
#include <vector>

namespace limbeck {

class DocumentEval {
 public:
  /// Reads the document and answers with the full cache. Everything must outlive this object.
  /// Throws InvalidArgument when document, question and answer do not fit the model's window.
  DocumentEval(const LanguageModel& lm, const Task& task, const TaskPrompt& prompt,
               const TaskDocument& document, int64_t seed);

  /// Throws what compact() throws.
  SampleUnit run(const EvalUnit& unit);

 private:
  /// What the full cache answers to a question.
  struct Reference {
    std::vector<int32_t> prompt;  ///< ids behind the document
    std::vector<int32_t> answer;  ///< generated ids
    at::Tensor log_probs;         ///< [answer, vocabulary] f32; undefined without an answer
  };
  struct Answer {
    std::string text, finish;
    std::vector<int32_t> tokens;
    StageSeconds seconds;
    FootprintReport footprint;
  };

  Answer answer(KvCache& cache, const TaskQuestion& question,
                const std::vector<int32_t>& prompt) const;
  Answer choose(KvCache& cache, const TaskQuestion& question,
                const std::vector<int32_t>& prompt) const;
  void compare(KvCache& cache, const Reference& reference, SampleRow& row) const;
  SampleRow row_of(const EvalUnit& unit, const CompactedDocument& compacted) const;

  const LanguageModel& lm_;
  const Task& task_;
  const TaskPrompt& prompt_;
  const TaskDocument& document_;
  std::optional<DocumentCache> cache_;
  int64_t document_tokens_ = 0, full_bytes_ = 0;
  bool truncated_ = false;
  std::vector<Reference> references_;
};

}  // namespace limbeck
