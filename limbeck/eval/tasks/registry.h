/// Tasks by name: what there is, which options it takes, and how it is made.
///
/// A new task is one file and one line in registry.cpp. Non-goals: reading the material (words,
/// prose, corpora), which the caller holds.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Options by name, as a person writes them: {"seed": "7"}.
using OptionTexts = std::map<std::string, std::string>;

struct TaskEntry {
  std::string name;     ///< "niah_single_1"
  std::string group;    ///< benchmark: "ruler"
  std::string summary;  ///< one line
  std::vector<FieldInfo> options;
  std::function<std::unique_ptr<Task>(const TaskResources&, const OptionTexts&, PromptCounter)>
      make;
};

/// All generated tasks, those of a group together.
const std::vector<TaskEntry>& generated_tasks();

/// Throws InvalidArgument listing the known names.
const TaskEntry& find_task(std::string_view name);

/// Throws InvalidArgument for unknown names (listing the known), unknown options, values out of
/// range, and material that the task needs and `resources` lacks.
std::unique_ptr<Task> make_task(std::string_view name, const TaskResources& resources,
                                const OptionTexts& options, PromptCounter counter);

}  // namespace limbeck
