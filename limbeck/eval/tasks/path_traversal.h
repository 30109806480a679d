/// Path traversal of LongProc (arXiv 2501.05414), generated: follow the only way from one city to
/// another, a leg a line.
///
/// Every city has one outgoing connection, a sentence of the document. Answers are long: a task for
/// the costs of decoding.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>
#include <string>

namespace limbeck {

struct PathOptions {
  bool fill = false;
  int64_t seed = 42;
  std::string size = "small";
  template <class V>
  void for_each_field(V&& v) {
    v("fill", fill, yes_or_no(), "more cities than the size has, up to the length");
    v("seed", seed, at_least(0), "of all draws");
    v("size", size, one_of({"small", "medium", "large"}),
      "49, 196 or 735 cities and routes of 24-39, 96-156 or 360-585 legs; answers of at most 1024, "
      "3072 or 10240 tokens");
  }
};

/// Throws InvalidArgument for options out of range.
std::unique_ptr<Task> make_path_traversal(const TaskResources& resources,
                                          const PathOptions& options, PromptCounter counter);

}  // namespace limbeck
