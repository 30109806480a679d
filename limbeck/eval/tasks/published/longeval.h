/// LongEval's line retrieval (LongChat, 2023): the number that one of many lines holds.
///
/// Records, one a line: prompt, expected_number, correct_line, random_idx [key, place]. The
/// document is the prompt up to its last blank line, the question is the rest, both as the file has
/// them. Its counts and places are not used: lines with equal keys were dropped after they were
/// written. Non-goals: making such lines.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>

namespace limbeck {

struct LongEvalOptions {
  int64_t questions = 1;
  int64_t seed = 42;
  template <class V>
  void for_each_field(V&& v) {
    v("questions", questions, closed(1, 1024),
      "asked per document, the file's first, further keys at random; above 1 the label gets +mq");
    v("seed", seed, at_least(0), "of further keys");
  }
};

/// Score: 1 when the last run of digits in the answer is the number. Throws InvalidArgument,
/// ResourceError, FormatError.
std::unique_ptr<Task> make_longeval_task(const std::filesystem::path& path,
                                         const LongEvalOptions& options = {});

}  // namespace limbeck
