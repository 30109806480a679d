/// Variable tracking: one chain of assignments, four hops long, hidden in filler; all variables of
/// the chain are asked for by its value.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include <algorithm>

namespace limbeck {
namespace {

constexpr int64_t kVariables = 5;
constexpr int64_t kNameLetters = 5, kDemonstrationLetters = 3;
constexpr int64_t kStep = 10, kDemonstrationStep = 5;
/// Tokens that the demonstration may have, its answer and the chat format included.
constexpr int64_t kDemonstrationCap = 500;

std::string draw_name(Random& random, int64_t letters) {
  std::string out;
  for (int64_t i = 0; i < letters; ++i) out += static_cast<char>('A' + random.below(26));
  return out;
}

class VtTask : public RulerTask {
 public:
  VtTask(const RulerTaskFacts& facts, const TaskResources& resources, const RulerOptions& options,
         PromptCounter counter)
      : RulerTask(facts, resources, options, std::move(counter)) {
    make_demonstration();
  }

 protected:
  FillSteps steps(int64_t /*length*/) const override { return {kStep, kStep}; }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  TaskDocument chain(Random& random, int64_t letters, int64_t x,
                     std::string_view demonstration) const;
  void make_demonstration();

  std::string demonstration_;
};

TaskDocument VtTask::chain(Random& random, int64_t letters, int64_t x,
                           std::string_view demonstration) const {
  std::vector<std::string> names;
  while (static_cast<int64_t>(names.size()) < kVariables) {
    std::string name = draw_name(random, letters);
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  const std::string value = std::to_string(uniform_int(random, 10000, 99998));
  std::vector<std::string> statements;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string source = i == 0 ? value : "VAR " + names[i - 1];
    statements.push_back(
        fill_slots(templates().vt_statement, {{"name", names[i]}, {"value", source}}));
  }
  auto places = sample_indices(random, x, kVariables);
  std::sort(places.begin(), places.end());
  const std::vector<std::string> noise(static_cast<size_t>(x), templates().filler);
  TaskDocument out;
  out.text = fill_slots(templates().vt_document,
                        {{"demonstration", demonstration},
                         {"haystack", insert_sentences(noise, statements, places)}});
  const std::string count = std::to_string(kVariables);
  TaskQuestion question;
  question.text = fill_slots(templates().vt_question, {{"value", value}, {"count", count}});
  question.answer_prefix = fill_slots(templates().vt_prefix, {{"value", value}, {"count", count}});
  question.outputs = names;
  question.facts["value"] = value;
  out.questions.push_back(std::move(question));
  out.facts["lines"] = places;
  return out;
}

/// The same for all samples and lengths: a shorter chain text with its answer.
void VtTask::make_demonstration() {
  const auto draw = [&](int64_t x) {
    Random random = named_stream(kDemonstrationCap, "demonstration");
    return chain(random, kDemonstrationLetters, x, "");
  };
  int64_t smallest = 0;
  const auto x = largest_fitting(
      {kDemonstrationStep, kDemonstrationStep}, kDemonstrationCap,
      [&](int64_t size) -> std::optional<int64_t> {
        const TaskDocument made = draw(size);
        const TaskQuestion& question = made.questions[0];
        const int64_t tokens =
            counter()(made.text, question.text,
                      fmt::format("{} {}.", question.answer_prefix, list_text(question.outputs)));
        if (size == kDemonstrationStep) smallest = tokens;
        return tokens;
      });
  if (!x)
    throw InvalidArgument("[{}] the demonstration must fit into {} tokens; found {}", info().name,
                          kDemonstrationCap, smallest);
  const TaskDocument made = draw(*x);
  const TaskQuestion& question = made.questions[0];
  demonstration_ =
      fill_slots(templates().demonstration, {{"document", made.text},
                                             {"question", question.text},
                                             {"prefix", question.answer_prefix},
                                             {"answer", list_text(question.outputs) + "."}});
}

std::optional<TaskDocument> VtTask::build(Random random, const SampleRequest& /*request*/,
                                          int64_t x) const {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    TaskDocument out = chain(random, kNameLetters, x, demonstration_);
    const std::string value = out.questions[0].facts["value"].get<std::string>();
    // The demonstration has a value of its own.
    if (count_occurrences(out.text, value) == 1) return out;
  }
  throw InvalidArgument(
      "[{}] the value asked for must stand once in the document; found none such in {} draws, so "
      "look at the template vt_statement",
      info().name, kTries);
}

}  // namespace

std::unique_ptr<Task> make_vt(const RulerTaskFacts& facts, const TaskResources& resources,
                              const RulerOptions& options, PromptCounter counter) {
  return std::make_unique<VtTask>(facts, resources, options, std::move(counter));
}

}  // namespace limbeck
