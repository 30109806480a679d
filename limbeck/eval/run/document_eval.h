/// One document of a task: every method at every ratio answers its questions from its own cache.
///
/// Compaction sees the document only and the question comes afterwards (EvalMode::agnostic); the
/// other modes are there to replicate what others measured. Questions never see each other. The
/// full cache's own answers are the reference for "kl", "top1" and "own_nll".
#pragma once

#include "limbeck/eval/document_cache.h"
#include "limbeck/eval/run/sample_log.h"
#include "limbeck/eval/run/task_prompt.h"

#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace limbeck {

/// When the question becomes known.
enum class EvalMode {
  agnostic,   ///< after compaction
  aware,      ///< read behind the document, compacted with it, and asked again
  in_prompt,  ///< read in full with everything else; the first token comes from the full cache
};
/// "agnostic", "aware", "in-prompt".
std::string_view eval_mode_name(EvalMode mode);
/// Throws InvalidArgument listing the names.
EvalMode parse_eval_mode(std::string_view name);

/// Throws InvalidArgument when a task of this kind cannot be run in this mode.
void check_mode(const TaskInfo& info, EvalMode mode);

struct DocumentSettings {
  EvalMode mode = EvalMode::agnostic;
  int64_t window = 0;  ///< tokens of prompt and answer; 0 = the model's
  int64_t seed = 0;
  /// Whether an error ends the run, so that no further unit is compacted. Empty: none does.
  std::function<bool(const std::exception_ptr&)> ends_run = {};
};

/// Where a needle lies, for the heat map, and how much a generator could put into the length.
void set_facts(const TaskDocument& document, SampleRow& row);

class DocumentEval {
 public:
  /// Reads the document and answers with the full cache. Everything must outlive this object.
  /// Throws InvalidArgument when document, question and answer do not fit the window, or the mode
  /// does not fit the task.
  DocumentEval(const LanguageModel& lm, const Task& task, const TaskPrompt& prompt,
               const TaskDocument& document, const DocumentSettings& settings);

  /// A unit's rows, or why there are none; neither where an error before it ends the run.
  struct Outcome {
    std::optional<SampleUnit> unit;
    std::exception_ptr error;
  };
  /// Whether answers of several units are decoded together: questions come after compaction, and
  /// answers are generated.
  bool decodes_together() const;
  /// By unit; what compact() throws becomes the error of its unit. Where units decode together
  /// (generate_together) the answers are the same, the seconds of decoding shared out evenly and
  /// the peak of memory that of all.
  std::vector<Outcome> run(std::span<const EvalUnit* const> units);
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
  /// A compact cache, and what the cache that it was made from held.
  struct Compacted {
    CompactedDocument document;
    int64_t span_tokens = 0, full_bytes = 0;
    at::Tensor last_logits;
  };

  bool ends_run(const std::exception_ptr& error) const;
  void cut(const TaskDocument& document);
  /// What stands behind the document while methods choose; nothing in the agnostic mode.
  std::vector<int32_t> known(size_t question) const;
  Compacted compacted(const EvalUnit& unit, size_t question);
  SampleUnit run_alone(const EvalUnit& unit);
  void run_together(std::span<const EvalUnit* const> units, std::span<Outcome> out);
  /// Rows of units and their compact caches; on an error the caches are as before.
  std::vector<SampleUnit> ask_together(std::span<const EvalUnit* const> units,
                                       std::span<Compacted> made) const;
  HeadsRow heads_of(const EvalUnit& unit, const CacheShape& shape) const;
  SampleRow row_of(const EvalUnit& unit, const Compacted& compacted, size_t question) const;
  /// What was held up to the end of the answer.
  FootprintReport ask(Compacted& compacted, size_t question, SampleRow& row) const;
  void take(const Answer& answer, Compacted& compacted, size_t question, SampleRow& row) const;
  FootprintReport go_on(Compacted& compacted, SampleRow& row) const;

  /// One a cache; the caches are as before.
  std::vector<Answer> answers(std::span<KvCache* const> caches,
                              const std::vector<int32_t>& prompt) const;
  Answer answer_in_prompt(Compacted& compacted) const;
  Answer choose(KvCache& cache, const TaskQuestion& question,
                const std::vector<int32_t>& prompt) const;
  void compare(KvCache& cache, const Reference& reference, SampleRow& row) const;

  const LanguageModel& lm_;
  const Task& task_;
  const TaskPrompt& prompt_;
  const TaskDocument& document_;
  DocumentSettings settings_;
  std::optional<DocumentCache> cache_;
  std::vector<int32_t> ids_, continuation_;
  bool truncated_ = false;
  std::vector<Reference> references_;
};

}  // namespace limbeck
