#include "limbeck/eval/run/task_prompt.h"

#include "limbeck/base/error.h"

#include <algorithm>

namespace limbeck {

TaskPrompt::TaskPrompt(const LanguageModel& lm, bool chat) : lm_(&lm) {
  if (chat)
    frame_ = chat_frame(lm);
  else
    frame_.before = lm.tokenizer.encode("", {.add_special = true});
}

std::vector<int32_t> TaskPrompt::document(std::string_view text) const {
  return lm_->tokenizer.encode(text);
}

std::vector<int32_t> TaskPrompt::question(std::string_view text,
                                          std::string_view answer_prefix) const {
  std::vector<int32_t> out = lm_->tokenizer.encode(text);
  out.insert(out.end(), frame_.after.begin(), frame_.after.end());
  const auto answer = lm_->tokenizer.encode(answer_prefix);
  out.insert(out.end(), answer.begin(), answer.end());
  return out;
}

std::vector<int32_t> TaskPrompt::continued(std::string_view answer_prefix,
                                           std::string_view text) const {
  const std::string blank = fmt::format(" {}", text);
  const auto begun = lm_->tokenizer.encode(answer_prefix);
  const auto whole = lm_->tokenizer.encode(fmt::format("{}{}", answer_prefix, blank));
  // Some tokenizers put a blank in front of every text themselves: two would be one too many.
  if (whole.size() > begun.size() && std::equal(begun.begin(), begun.end(), whole.begin()))
    return {whole.begin() + static_cast<int64_t>(begun.size()), whole.end()};
  return lm_->tokenizer.encode(blank);
}

PromptCounter TaskPrompt::counter() const {
  return [self = *this](std::string_view text, std::string_view question,
                        std::string_view answer_prefix) {
    return static_cast<int64_t>(self.frame_.before.size() + self.document(text).size() +
                                self.question(question, answer_prefix).size());
  };
}

std::vector<int32_t> TaskPrompt::fit(std::vector<int32_t> ids, int64_t room, Truncation how,
                                     bool& cut) const {
  const auto size = static_cast<int64_t>(ids.size());
  cut = size > room;
  if (!cut) return ids;
  if (room < 2 || how == Truncation::none)
    throw InvalidArgument("[eval] a document of {} tokens does not fit; found room for {}", size,
                          room);
  if (how == Truncation::end) {
    ids.resize(room);
    return ids;
  }
  // Joined as text and read again, so that the seam is tokens that a text has.
  for (int64_t keep = room; keep >= 2; keep -= std::max<int64_t>(1, keep / 64)) {
    const std::span<const int32_t> all(ids);
    const std::string text =
        lm_->tokenizer.decode(all.first(keep / 2)) + lm_->tokenizer.decode(all.last(keep / 2));
    std::vector<int32_t> out = document(text);
    if (static_cast<int64_t>(out.size()) <= room) return out;
  }
  throw InvalidArgument("[eval] a document of {} tokens cannot be cut to {}", size, room);
}

}  // namespace limbeck
