/// Running text and how it goes on: what a cache is for, without any question.
///
/// Excerpts are cut from the texts at random places that do not overlap within one length. The
/// first `length` tokens are compacted, the next `continuation` are predicted behind them; what is
/// computed from the predictions is in eval/lm_metrics.h. Non-goals: sentences as borders, other
/// prompts than the text itself.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>

namespace limbeck {

struct LmOptions {
  int64_t continuation = 512;
  int64_t seed = 42;
  template <class V>
  void for_each_field(V&& v) {
    v("continuation", continuation, closed(2, 8192),
      "tokens behind the cut; the first one is not scored, its prediction is from before");
    v("seed", seed, at_least(0), "of the places");
  }
};

/// Throws InvalidArgument for options out of range and missing texts. Documents that the texts have
/// no room for throw InvalidArgument.
std::unique_ptr<Task> make_lm_task(const TaskResources& resources, const LmOptions& options,
                                   PromptCounter counter);

}  // namespace limbeck
