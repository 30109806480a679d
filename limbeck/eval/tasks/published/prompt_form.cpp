#include "limbeck/eval/tasks/published/prompt_form.h"

#include "limbeck/base/error.h"

#include <set>

namespace limbeck {

PromptForm::PromptForm(std::string_view owner, std::string_view form,
                       std::initializer_list<std::string_view> slots) {
  constexpr std::string_view kContext = "{context}";
  const size_t at = form.find(kContext);
  if (at == std::string_view::npos || form.find(kContext, at + 1) != std::string_view::npos)
    throw InvalidArgument("[{}] wording must have the slot {} once; found it {}", owner, kContext,
                          at == std::string_view::npos ? "nowhere" : "more often");
  document_ = form.substr(0, at + kContext.size());
  question_ = form.substr(at + kContext.size());
  std::set<std::string> need;
  for (const std::string_view slot : slots) need.emplace(slot);
  const auto before = template_slots(document_), behind = template_slots(question_);
  if (before.size() != 1)
    throw InvalidArgument("[{}] wording before {} must have no slot; found {}", owner, kContext,
                          fmt::join(before, ", "));
  if (behind != need)
    throw InvalidArgument("[{}] wording behind {} must have the slots [{}]; found [{}]", owner,
                          kContext, fmt::join(need, ", "), fmt::join(behind, ", "));
}

std::string PromptForm::document(std::string_view context) const {
  return fill_slots(document_, {{"context", context}});
}

std::string PromptForm::question(std::initializer_list<SlotValue> values) const {
  return fill_slots(question_, values);
}

}  // namespace limbeck
