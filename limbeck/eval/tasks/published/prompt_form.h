/// Wording of a published task: one text with slots, cut where the document ends.
///
/// The part up to the end of {context} is what compaction sees, so it may hold no other slot of the
/// question. Non-goals: answer prefixes, chat templates.
#pragma once

#include "limbeck/eval/tasks/templates.h"

#include <initializer_list>
#include <string>
#include <string_view>

namespace limbeck {

class PromptForm {
 public:
  /// `slots` are those that must stand behind {context}, each at least once, and no others. Throws
  /// InvalidArgument naming `owner` otherwise, and when {context} does not stand exactly once.
  PromptForm(std::string_view owner, std::string_view form,
             std::initializer_list<std::string_view> slots);

  std::string document(std::string_view context) const;
  std::string question(std::initializer_list<SlotValue> values) const;

 private:
  std::string document_, question_;
};

}  // namespace limbeck
