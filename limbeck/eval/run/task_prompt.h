/// A task's texts as token ids, in two parts: what is compacted, and what is asked behind it.
///
/// The parts are tokenised on their own, so that the document's ids never depend on the question.
#pragma once

#include "limbeck/eval/tasks/task.h"
#include "limbeck/model/generate.h"

#include <span>
#include <vector>

namespace limbeck {

class TaskPrompt {
 public:
  /// chat: inside the model's chat format; else behind BOS. `lm` must outlive it.
  TaskPrompt(const LanguageModel& lm, bool chat);

  /// Kept in front of every document: never compacted, never charged.
  const std::vector<int32_t>& before() const { return frame_.before; }
  const ChatFrame& frame() const { return frame_; }
  std::vector<int32_t> document(std::string_view text) const;
  /// Question, the frame's rest, and the beginning of the answer.
  std::vector<int32_t> question(std::string_view text, std::string_view answer_prefix) const;
  /// The ids with which an answer goes on behind its prefix and a blank.
  std::vector<int32_t> continued(std::string_view answer_prefix, std::string_view text) const;
  /// Ids fed for a question about a document. Copies what it needs but the model.
  PromptCounter counter() const;

  /// `ids` within `room` tokens, as `how` says; `cut` tells whether something is missing. Throws
  /// InvalidArgument for Truncation::none when they do not fit, and when there is no room at all.
  std::vector<int32_t> fit(std::vector<int32_t> ids, int64_t room, Truncation how, bool& cut) const;

 private:
  const LanguageModel* lm_;
  ChatFrame frame_;
};

}  // namespace limbeck
