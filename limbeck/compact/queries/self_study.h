/// Self-study: the model writes and answers conversations about the text, and what it reads and
/// says in them becomes reference queries (Attention Matching, arXiv 2602.16284, section 3).
///
/// Three test questions with options, written in one go and answered one by one; then the main
/// points, the key facts, and the facts as JSON. Unlike a repeat this decodes, so it costs seconds
/// to minutes. Answers of models that think aloud (<think>) count once the thought has ended; those
/// that the limit cuts off in it are left out. The published limits of 8,192, 4,096 and 2,048
/// tokens are for models that think; the defaults below are for those that do not.
#pragma once

#include "limbeck/compact/queries/reference_queries.h"
#include "limbeck/model/generate.h"

#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct SelfStudyOptions {
  int64_t question_tokens = 1024;  ///< for all questions together
  int64_t answer_tokens = 512;     ///< for each answer
  int64_t task_tokens = 512;       ///< for each of the other conversations
  int64_t most_questions = 5;      ///< a list of more, or of none, is asked for again
  int64_t tries = 3;               ///< then the study goes on without questions
  double temperature = 0.7, top_p = 0.8;
  int64_t top_k = 20;
  int64_t seed = 0;
  ProgressFn progress;  ///< in conversations
};

struct SelfStudy {
  /// User turn, template and answer of each conversation, to be read behind the text.
  std::vector<ReferenceSuffix> suffixes;
  std::vector<std::string> questions;  ///< as the model wrote them; empty when it could not
};

/// The cache, which is not changed, ends within the user's turn of `frame`. Throws InvalidArgument
/// naming window and lengths when fewer than 64 tokens are left for an answer.
SelfStudy self_study(const LanguageModel& lm, const KvCache& cache, PositionRange span,
                     const ChatFrame& frame, const SelfStudyOptions& options = {});

/// The items of a list: parted by rules (lines of three or more -, = or *), else by numbers at the
/// start of lines (what precedes the first is dropped), else by empty lines.
std::vector<std::string> list_items(std::string_view text);

/// Whether an answer ends within a thought (`<think>` without `</think>` behind it): it says
/// nothing about the text and gives no queries.
bool still_thinks(std::string_view answer);
/// What follows the thoughts of an answer.
std::string_view said_aloud(std::string_view answer);

}  // namespace limbeck
