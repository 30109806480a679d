/// Base of the generated tasks: fills documents up to the length asked for.
///
/// A task says how a sample of size x is drawn from its stream; this class finds x for each sample,
/// so that prompt and answer together have at most `length` tokens and lack at most two steps of
/// it. Sample number i of a length is the same however many are made.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/eval/tasks/length_fill.h"
#include "limbeck/eval/tasks/task.h"

#include <map>
#include <optional>
#include <string>

namespace limbeck {

/// Which sample is wanted. The probe, from which the size of the others is found, is one of its
/// own.
struct SampleRequest {
  int64_t length = 0;
  int64_t index = 0;  ///< 0 for the probe
  bool probe = false;
};

class FilledTask : public Task {
 public:
  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t length) const override;
  TaskDocument document(int64_t length, int64_t index) final;

 protected:
  /// `stream` names the task in stream keys. Throws InvalidArgument without a counter.
  FilledTask(TaskInfo info, std::string stream, int64_t seed, PromptCounter counter);

  /// Sizes to try. Throws InvalidArgument when the length is too small or material is missing.
  virtual FillSteps steps(int64_t length) const = 0;
  /// A sample of size x: text, questions (at least one) and facts; nothing when there is not enough
  /// material for x. `random` is fresh, so that a larger x begins with the same draws.
  virtual std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                            int64_t x) const = 0;

  /// A stream of this task for what is no sample: "shuffle", "demonstration".
  Random named_stream(int64_t length, std::string_view name) const;
  const PromptCounter& counter() const { return counter_; }

 private:
  struct Plan {
    FillSteps steps;
    int64_t x = 0;
    int64_t step_tokens = 0;
  };
  const Plan& plan(int64_t length);
  int64_t tokens(const TaskDocument& document, bool with_answers) const;
  [[noreturn]] void too_long(int64_t length, const Plan& plan, std::optional<int64_t> found) const;

  TaskInfo info_;
  std::string stream_;
  int64_t seed_;
  PromptCounter counter_;
  std::map<int64_t, Plan> plans_;  ///< by length
};

}  // namespace limbeck
