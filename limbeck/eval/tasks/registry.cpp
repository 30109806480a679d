#include "limbeck/eval/tasks/registry.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/countdown.h"
#include "limbeck/eval/tasks/json_kv.h"
#include "limbeck/eval/tasks/longeval_lines.h"
#include "limbeck/eval/tasks/needle_grid.h"
#include "limbeck/eval/tasks/path_traversal.h"
#include "limbeck/eval/tasks/ruler/ruler.h"
#include "limbeck/io/quote.h"

namespace limbeck {
namespace {

/// `make` takes resources, options and counter.
template <class Options, class Make>
TaskEntry entry(std::string_view name, std::string_view group, std::string_view summary,
                Make make) {
  TaskEntry out;
  out.name = name;
  out.group = group;
  out.summary = summary;
  out.options = options_describe<Options>();
  out.make = [owner = out.name, make](const TaskResources& resources, const OptionTexts& texts,
                                      PromptCounter counter) -> std::unique_ptr<Task> {
    return make(resources, options_from_texts<Options>(owner, texts), std::move(counter));
  };
  return out;
}

std::vector<TaskEntry> make_entries() {
  std::vector<TaskEntry> out;
  for (const std::string& name : ruler_task_names())
    out.push_back(entry<RulerOptions>(
        name, "ruler", ruler_summary(name),
        [name](const TaskResources& resources, const RulerOptions& options, PromptCounter counter) {
          return make_ruler_task(name, resources, options, std::move(counter));
        }));
  out.push_back(entry<NeedleGridOptions>("needle_grid", "needle_grid",
                                         "needles at eleven depths of prose", make_needle_grid));
  out.push_back(entry<LongevalOptions>(
      "longeval_lines", "longeval", "the number of one of many named lines", make_longeval_lines));
  out.push_back(entry<JsonKvOptions>("json_kv", "helmet",
                                     "the value of a key in a large JSON object", make_json_kv));
  out.push_back(entry<CountdownOptions>("countdown", "longproc",
                                        "four numbers combined to a target, by a written search",
                                        make_countdown));
  out.push_back(entry<PathOptions>("path_traversal", "longproc",
                                   "the only way between two cities, a leg a line",
                                   make_path_traversal));
  return out;
}

}  // namespace

const std::vector<TaskEntry>& generated_tasks() {
  static const std::vector<TaskEntry> entries = make_entries();
  return entries;
}

const TaskEntry& find_task(std::string_view name) {
  std::vector<std::string> known;
  for (const TaskEntry& task : generated_tasks()) {
    if (task.name == name) return task;
    known.push_back(task.name);
  }
  throw InvalidArgument("[tasks] task must be one of {}; found {}", fmt::join(known, ", "),
                        quote(name));
}

std::unique_ptr<Task> make_task(std::string_view name, const TaskResources& resources,
                                const OptionTexts& options, PromptCounter counter) {
  return find_task(name).make(resources, options, std::move(counter));
}

}  // namespace limbeck
