/// A task as a command line names it: "niah_multikey_1:questions=4", "longbench=hotpotqa.jsonl".
///
/// NAME[=FILE][:option=value]...; lists are separated by commas. A backslash takes the meaning from
/// a comma, a colon or a backslash behind it. Non-goals: knowing tasks and options (registry.h).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Options by name, as a person writes them: {"seed": "7"}.
using OptionTexts = std::map<std::string, std::string>;

struct TaskRequest {
  std::string name;     ///< of a task or a benchmark
  std::string file;     ///< of a published task; a folder stands for the files in it
  std::string as;       ///< name in tables; empty = the task's own
  OptionTexts options;  ///< but "as"
  bool operator==(const TaskRequest&) const = default;
};

/// Throws InvalidArgument for a part without a name or an option that is given twice. A colon that
/// no `option=` follows belongs to the text before it.
TaskRequest parse_task_request(std::string_view text);

/// The parts of a comma-separated list, their backslashes still in place.
std::vector<std::string> split_task_list(std::string_view text);

/// The text that parse_task_request() reads as this request, also within a list.
std::string task_request_text(const TaskRequest& request);

}  // namespace limbeck
