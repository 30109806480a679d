/// What the families of RULER tasks share: options, material, metric, and the two ways to shuffle.
#pragma once

#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/ruler/ruler.h"
#include "limbeck/eval/tasks/stream.h"

namespace limbeck {

/// What the table of tasks says of one.
struct RulerTaskFacts {
  std::string_view name, summary;
  std::string_view metric;  ///< "all" or "part"
  int64_t max_new = 128;
  bool many_questions = false;  ///< has more to ask about a document than one question
  std::string_view group = "ruler";
};

class RulerTask : public FilledTask {
 public:
  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override;

 protected:
  RulerTask(const RulerTaskFacts& facts, const TaskResources& resources,
            const RulerOptions& options, PromptCounter counter);

  /// Per sample, or by the one permutation that all samples of this length and size have.
  template <class T>
  void shuffle_items(Random& random, int64_t length, std::vector<T>& items) const {
    if (options_.shuffle != "fixed") return shuffle(random, items);
    Random fixed = named_stream(length, "shuffle");
    shuffle(fixed, items);
  }
  const WordList& words() const { return *resources_.words; }
  const TaskTemplates& templates() const { return resources_.templates; }

  TaskResources resources_;
  RulerOptions options_;
};

/// Below this length the samples of several tasks are of a smaller kind.
inline constexpr int64_t kShortBelow = 4096;

// One family a file; `name` is one of its tasks.
std::unique_ptr<Task> make_niah(const RulerTaskFacts& facts, const TaskResources& resources,
                                const RulerOptions& options, PromptCounter counter);
std::unique_ptr<Task> make_vt(const RulerTaskFacts& facts, const TaskResources& resources,
                              const RulerOptions& options, PromptCounter counter);
std::unique_ptr<Task> make_cwe(const RulerTaskFacts& facts, const TaskResources& resources,
                               const RulerOptions& options, PromptCounter counter);
std::unique_ptr<Task> make_fwe(const RulerTaskFacts& facts, const TaskResources& resources,
                               const RulerOptions& options, PromptCounter counter);
std::unique_ptr<Task> make_ruler_qa(const RulerTaskFacts& facts, const TaskResources& resources,
                                    const RulerOptions& options, PromptCounter counter);

}  // namespace limbeck
