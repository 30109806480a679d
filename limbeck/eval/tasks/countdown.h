/// Countdown of LongProc (arXiv 2501.05414), generated: four numbers are combined until a target is
/// reached, by a search written out step by step.
///
/// The document holds the rules and solved games, the question one more game whose depth-first
/// search takes as many lines as the size says. Answers are long: a task for the costs of decoding.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace limbeck {

struct CountdownOptions {
  int64_t examples = 3;
  int64_t seed = 42;
  std::string size = "small";
  template <class V>
  void for_each_field(V&& v) {
    v("examples", examples, closed(1, 64), "most solved games in a document");
    v("seed", seed, at_least(0), "of all draws");
    v("size", size, one_of({"small", "medium", "large"}),
      "of searches: 8-30, 31-120 or 121-480 lines, answers of at most 1024, 3072 or 10240 tokens");
  }
};

/// Throws InvalidArgument for options out of range.
std::unique_ptr<Task> make_countdown(const TaskResources& resources,
                                     const CountdownOptions& options, PromptCounter counter);

struct CountdownSearch {
  std::string trace;     ///< lines of the search, the last one reaches the target
  std::string solution;  ///< three lines "a op b = c"
  int64_t lines = 0;     ///< of the trace
};
/// Depth-first search over pairs in order and + - * /; results stay in 1 .. 9999, and nothing is
/// multiplied or divided by 1. Nothing when there is no solution or its trace has more than
/// `most_lines`.
std::optional<CountdownSearch> countdown_search(const std::array<int64_t, 4>& numbers,
                                                int64_t target, int64_t most_lines);

}  // namespace limbeck
