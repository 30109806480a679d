#include "limbeck/eval/tasks/longeval_lines.h"

#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>

namespace limbeck {
namespace {

constexpr const char* kName = "longeval_lines";
constexpr int64_t kLargest = 50000;

TaskInfo lines_info(const LongevalOptions& options) {
  TaskInfo info;
  info.name = kName;
  if (options.questions > 1) info.name += "+mq";
  info.group = "longeval";
  info.metric = "last_integer";
  info.max_new = 32;
  return info;
}

class LongevalLines : public FilledTask {
 public:
  LongevalLines(const TaskResources& resources, const LongevalOptions& options,
                PromptCounter counter)
      : FilledTask(lines_info(options), kName, options.seed, std::move(counter)),
        resources_(resources),
        options_(options) {
    if (!resources_.words) resources_.words = std::make_shared<WordList>(WordList::syllables());
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = last_integer(prediction);
    out.found = !out.parsed.empty();
    for (const std::string& gold : question.outputs)
      if (out.found && out.parsed == last_integer(gold)) out.score = 1;
    return out;
  }

 protected:
  FillSteps steps(int64_t length) const override {
    const int64_t lines = length < 4096 ? 5 : 25;
    return {lines, lines};
  }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  TaskResources resources_;
  LongevalOptions options_;
};

std::optional<TaskDocument> LongevalLines::build(Random random, const SampleRequest& /*request*/,
                                                 int64_t x) const {
  const TaskTemplates& templates = resources_.templates;
  NeedleDraw draws(random, *resources_.words);
  std::vector<Needle> lines;
  std::string list;
  for (int64_t i = 0; i < x; ++i) {
    Needle line;
    line.key = draws.key(NeedleKind::words);
    line.value = std::to_string(uniform_int(random, 1, kLargest));
    if (i > 0) list += '\n';
    list += fill_slots(templates.longeval_line, {{"key", line.key}, {"number", line.value}});
    lines.push_back(std::move(line));
  }
  TaskDocument out;
  out.text = fill_slots(templates.longeval_document, {{"lines", list}});
  const auto asked = sample_indices(random, x, std::min(x, options_.questions));
  for (const int64_t i : asked) {
    const Needle& line = lines[static_cast<size_t>(i)];
    TaskQuestion question;
    question.text = fill_slots(templates.longeval_question, {{"key", line.key}});
    question.answer_prefix = fill_slots(templates.longeval_prefix, {{"key", line.key}});
    question.outputs = {line.value};
    question.facts["line"] = i;
    out.questions.push_back(std::move(question));
  }
  out.facts["lines"] = asked;
  return out;
}

}  // namespace

std::string last_integer(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const size_t last = text.find_last_of(kDigits);
  if (last == std::string_view::npos) return "";
  const size_t before = text.find_last_not_of(kDigits, last);
  std::string_view run = text.substr(before + 1, last - before);  // npos + 1 = 0
  run.remove_prefix(std::min(run.find_first_not_of('0'), run.size() - 1));
  return std::string(run);
}

std::unique_ptr<Task> make_longeval_lines(const TaskResources& resources,
                                          const LongevalOptions& options, PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<LongevalLines>(resources, options, std::move(counter));
}

}  // namespace limbeck
