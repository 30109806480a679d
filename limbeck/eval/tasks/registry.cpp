#include "limbeck/eval/tasks/registry.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/countdown.h"
#include "limbeck/eval/tasks/json_kv.h"
#include "limbeck/eval/tasks/lm.h"
#include "limbeck/eval/tasks/longeval_lines.h"
#include "limbeck/eval/tasks/needle_grid.h"
#include "limbeck/eval/tasks/path_traversal.h"
#include "limbeck/eval/tasks/ruler/ruler.h"
#include "limbeck/io/quote.h"

#include <algorithm>

namespace limbeck {
namespace {

/// `make` takes resources, options and counter.
template <class Options, class Make>
TaskEntry generated(std::string_view name, std::string_view group, std::string_view summary,
                    Make make) {
  return task_entry<Options>(
      name, group, summary,
      [make](const TaskResources& resources, const TaskRequest& /*request*/, const Options& options,
             PromptCounter counter) { return make(resources, options, std::move(counter)); });
}

std::vector<TaskEntry> make_entries() {
  std::vector<TaskEntry> out;
  for (const std::string& name : ruler_task_names())
    out.push_back(generated<RulerOptions>(
        name, "ruler", ruler_summary(name),
        [name](const TaskResources& resources, const RulerOptions& options, PromptCounter counter) {
          return make_ruler_task(name, resources, options, std::move(counter));
        }));
  out.push_back(generated<NeedleGridOptions>(
      "needle_grid", "needle_grid", "needles at eleven depths of prose", make_needle_grid));
  out.push_back(generated<LongevalOptions>(
      "longeval_lines", "longeval", "the number of one of many named lines", make_longeval_lines));
  out.push_back(generated<JsonKvOptions>(
      "json_kv", "helmet", "the value of a key in a large JSON object", make_json_kv));
  out.push_back(generated<CountdownOptions>("countdown", "longproc",
                                            "four numbers combined to a target, by a written "
                                            "search",
                                            make_countdown));
  out.push_back(generated<PathOptions>("path_traversal", "longproc",
                                       "the only way between two cities, a leg a line",
                                       make_path_traversal));
  out.push_back(generated<LmOptions>(
      "lm", "lm", "how well the books go on: divergence from the full cache, perplexity",
      make_lm_task));
  return out;
}

std::string plain_name(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

/// A task under another name, so that two settings of one task stand in one table.
class RenamedTask : public Task {
 public:
  RenamedTask(std::unique_ptr<Task> task, const std::string& name)
      : task_(std::move(task)), info_(task_->info()) {
    info_.name = name;
  }
  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t length) const override { return task_->size(length); }
  TaskDocument document(int64_t length, int64_t index) override {
    return task_->document(length, index);
  }
  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    return task_->score(question, prediction);
  }

 private:
  std::unique_ptr<Task> task_;
  TaskInfo info_;
};

}  // namespace

bool TaskEntry::has_option(std::string_view option) const {
  return std::any_of(options.begin(), options.end(),
                     [&](const FieldInfo& field) { return field.name == option; });
}

const std::vector<TaskEntry>& generated_tasks() {
  static const std::vector<TaskEntry> entries = make_entries();
  return entries;
}

const TaskEntry& find_task(std::string_view name) {
  std::vector<std::string> known;
  for (const auto* list : {&generated_tasks(), &published_tasks()})
    for (const TaskEntry& task : *list) {
      if (plain_name(task.name) == plain_name(name)) return task;
      known.push_back(task.file.empty() ? task.name : task.name + "=FILE");
    }
  throw InvalidArgument("[tasks] task must be one of {}; found {}", fmt::join(known, ", "),
                        quote(name));
}

std::unique_ptr<Task> make_task(const TaskRequest& request, const TaskResources& resources,
                                PromptCounter counter) {
  const TaskEntry& entry = find_task(request.name);
  if (entry.file.empty() != request.file.empty())
    throw InvalidArgument("[tasks] {} takes {}; found {}", entry.name,
                          entry.file.empty() ? "no file" : "a file, as in NAME=FILE",
                          request.file.empty() ? "none" : quote(request.file));
  auto task = entry.make(resources, request, std::move(counter));
  if (request.as.empty()) return task;
  return std::make_unique<RenamedTask>(std::move(task), request.as);
}

}  // namespace limbeck
