/// Lines retrieval of LongEval (LMSYS 2023), generated: named lines that each hold a number.
///
/// "line obey-djinn: REGISTER_CONTENT is <4711>". Lines fill the length; any line can be asked for.
/// Files in the published format are another task's business.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace limbeck {

struct LongevalOptions {
  int64_t questions = 1;
  int64_t seed = 42;
  template <class V>
  void for_each_field(V&& v) {
    v("questions", questions, closed(1, 64), "lines asked for per document, label +mq above 1");
    v("seed", seed, at_least(0), "of all draws");
  }
};

/// Throws InvalidArgument for options out of range.
std::unique_ptr<Task> make_longeval_lines(const TaskResources& resources,
                                          const LongevalOptions& options, PromptCounter counter);

/// The digits of the last run of ASCII digits, without leading zeros; empty when there is none.
std::string last_integer(std::string_view text);

}  // namespace limbeck
