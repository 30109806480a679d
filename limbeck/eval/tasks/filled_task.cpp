#include "limbeck/eval/tasks/filled_task.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>
#include <limits>

namespace limbeck {
namespace {

/// Above every model's window; a bound for memory.
constexpr int64_t kLongest = int64_t{1} << 24;

std::string answers_of(const TaskQuestion& question) {
  return fmt::format("{} {}", question.answer_prefix, fmt::join(question.outputs, ", "));
}

}  // namespace

FilledTask::FilledTask(TaskInfo info, std::string stream, int64_t seed, PromptCounter counter)
    : info_(std::move(info)),
      stream_(std::move(stream)),
      seed_(seed),
      counter_(std::move(counter)) {
  if (!counter_) throw InvalidArgument("[{}] need a counter of tokens; found none", info_.name);
}

int64_t FilledTask::size(int64_t /*length*/) const { return std::numeric_limits<int64_t>::max(); }

Random FilledTask::named_stream(int64_t length, std::string_view name) const {
  return task_stream(seed_, stream_, length, name);
}

/// Tokens of the longest of the prompts, and those reserved for an answer. The parts are tokenised
/// apart, so that the document is counted once however many questions there are.
int64_t FilledTask::tokens(const TaskDocument& document, bool with_answers) const {
  const auto count = [&](std::string_view text, const TaskQuestion& question) {
    return counter_(text, question.text,
                    with_answers ? answers_of(question) : question.answer_prefix);
  };
  LIMBECK_CHECK(!document.questions.empty(), "a sample of {} has no question", info_.name);
  const TaskQuestion& first = document.questions.front();
  int64_t out = count(document.text, first);
  if (document.questions.size() > 1) {
    const int64_t alone = count("", first);
    int64_t longest = alone;
    for (const TaskQuestion& question : document.questions)
      longest = std::max(longest, count("", question));
    out += longest - alone;
  }
  return out + info_.max_new;
}

void FilledTask::too_long(int64_t length, const Plan& plan, std::optional<int64_t> found) const {
  if (!found)
    throw InvalidArgument("[{}] too little material for a sample of size {}; give more of it",
                          info_.name, plan.steps.first);
  throw InvalidArgument(
      "[{}] length must hold a sample of size {}, {} tokens with {} for the answer; found {}",
      info_.name, plan.steps.first, *found, info_.max_new, length);
}

const FilledTask::Plan& FilledTask::plan(int64_t length) {
  const auto known = plans_.find(length);
  if (known != plans_.end()) return known->second;
  Plan out;
  out.steps = steps(length);
  std::map<int64_t, std::optional<int64_t>> lengths;
  const auto x = largest_fitting(out.steps, length, [&](int64_t size) {
    const auto made = build(named_stream(length, "probe"), {length, 0, true}, size);
    if (made) lengths[size] = tokens(*made, true);
    return lengths[size];
  });
  const auto smallest = lengths[out.steps.first];
  if (!x) too_long(length, out, smallest);
  out.x = *x;
  const int64_t count = (out.x - out.steps.first) / out.steps.step;
  out.step_tokens = count == 0 ? *smallest : (*lengths[out.x] - *smallest + count - 1) / count;
  return plans_.emplace(length, out).first->second;
}

TaskDocument FilledTask::document(int64_t length, int64_t index) {
  if (length < 1 || length > kLongest)
    throw InvalidArgument("[{}] length must be in [1, {}]; found {}", info_.name, kLongest, length);
  if (index < 0 || index >= size(length))
    throw InvalidArgument("[{}] index must be in [0, {}); found {}", info_.name, size(length),
                          index);
  const Plan& plan = this->plan(length);
  TaskDocument out;
  int64_t fitting = 0;
  std::optional<int64_t> last;
  const auto x = fit_sample(plan.steps, length, plan.x, plan.step_tokens, [&](int64_t size) {
    auto made = build(task_stream(seed_, stream_, length, index), {length, index, false}, size);
    last.reset();
    if (!made) return last;
    last = tokens(*made, false);
    if (*last <= length) {
      out = std::move(*made);
      fitting = *last;
    }
    return last;
  });
  if (!x) too_long(length, plan, last);
  out.id = fmt::format("{}-{}", length, index);
  out.ordinal = index;
  out.length = length;
  out.facts["x"] = *x;
  out.facts["tokens"] = fitting;
  for (size_t i = 0; i < out.questions.size(); ++i) out.questions[i].id = std::to_string(i);
  return out;
}

}  // namespace limbeck
