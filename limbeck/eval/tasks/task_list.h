/// From what a person asks for to a list of single tasks, and what a record says of each.
#pragma once

#include "limbeck/eval/tasks/registry.h"

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <vector>

namespace limbeck {

/// Single tasks: a benchmark's name stands for its generated tasks, a folder for the .json and
/// .jsonl files in it (by name). Names are the registry's own. `defaults` are options that tasks
/// get which have them and do not name them. Notes say what was passed over (Chinese sets of
/// LongBench). Throws InvalidArgument for unknown names and options, ResourceError for a file that
/// is not there.
std::vector<TaskRequest> expand_tasks(std::span<const TaskRequest> requests,
                                      const OptionTexts& defaults, std::vector<std::string>& notes);

/// Task, options after defaults, and name and XXH3-128 of each file, for a manifest: paths do not
/// count. Throws ResourceError for files that cannot be read.
nlohmann::ordered_json task_facts(const TaskRequest& request);

/// Stands for a task whose file cannot be used: one document, which throws FormatError with this
/// text.
std::unique_ptr<Task> make_broken_task(const TaskRequest& request, const std::string& error);

}  // namespace limbeck
