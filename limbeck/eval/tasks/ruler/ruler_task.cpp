#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include "limbeck/eval/metrics/qa_scores.h"

namespace limbeck {
namespace {

TaskInfo info_of(const RulerTaskFacts& facts, const RulerOptions& options) {
  TaskInfo info;
  info.name = facts.name;
  if (facts.many_questions && options.questions > 1) info.name += "+mq";
  info.group = facts.group;
  info.metric = facts.metric;
  info.max_new = facts.max_new;
  return info;
}

}  // namespace

RulerTask::RulerTask(const RulerTaskFacts& facts, const TaskResources& resources,
                     const RulerOptions& options, PromptCounter counter)
    : FilledTask(info_of(facts, options), std::string(facts.name), options.seed,
                 std::move(counter)),
      resources_(resources),
      options_(options) {
  if (!resources_.words) resources_.words = std::make_shared<WordList>(WordList::syllables());
}

TaskScore RulerTask::score(const TaskQuestion& question, std::string_view prediction) const {
  const double all = ruler_all(prediction, question.outputs),
               part = ruler_part(prediction, question.outputs);
  TaskScore out;
  out.parsed = ruler_clean(prediction);
  out.score = info().metric == "part" ? part : all;
  out.more = {{"all", all}, {"part", part}};
  // Answers in words, where a part of one counts for something.
  if (info().metric == "part")
    out.more["qa_f1"] = best_over_golds(qa_f1, out.parsed, question.outputs);
  return out;
}

}  // namespace limbeck
