/// Tasks by name: what there is, which options it takes, and how it is made.
///
/// Generated tasks make their documents, published ones read them out of a file in the benchmark's
/// format. A new task is one file and one line in registry.cpp (or published_registry.cpp).
/// Non-goals: reading the material (words, prose, corpora), which the caller holds.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"
#include "limbeck/eval/tasks/task_request.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct TaskEntry {
  std::string name;     ///< "niah_single_1"
  std::string group;    ///< benchmark: "ruler"
  std::string summary;  ///< one line
  std::string file;     ///< what its file holds; empty for generated tasks
  std::vector<FieldInfo> options;
  /// Options that name further files.
  std::vector<std::string> file_options;
  /// All options as texts, after defaults. Throws InvalidArgument for unknown ones and values out
  /// of range.
  std::function<OptionTexts(const OptionTexts&)> resolve;
  std::function<std::unique_ptr<Task>(const TaskResources&, const TaskRequest&, PromptCounter)>
      make;

  bool has_option(std::string_view option) const;
};

/// All generated tasks, those of a group together.
const std::vector<TaskEntry>& generated_tasks();
/// Tasks that read a file.
const std::vector<TaskEntry>& published_tasks();

/// Of either kind; '-' and '_' are the same. Throws InvalidArgument listing the known names.
const TaskEntry& find_task(std::string_view name);

/// Throws InvalidArgument for unknown names (listing the known), unknown options, values out of
/// range, a file that is missing or not wanted, and material that the task needs and `resources`
/// lacks; ResourceError and FormatError for the file.
std::unique_ptr<Task> make_task(const TaskRequest& request, const TaskResources& resources,
                                PromptCounter counter);

/// The entry of a task whose options are a struct; `make(resources, request, options, counter)`.
template <class Options, class Make>
TaskEntry task_entry(std::string_view name, std::string_view group, std::string_view summary,
                     Make make) {
  TaskEntry out;
  out.name = name;
  out.group = group;
  out.summary = summary;
  out.options = options_describe<Options>();
  out.resolve = [owner = out.name](const OptionTexts& texts) {
    return options_to_texts(options_from_texts<Options>(owner, texts));
  };
  out.make = [owner = out.name, make](const TaskResources& resources, const TaskRequest& request,
                                      PromptCounter counter) -> std::unique_ptr<Task> {
    return make(resources, request, options_from_texts<Options>(owner, request.options),
                std::move(counter));
  };
  return out;
}

}  // namespace limbeck
