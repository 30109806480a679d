#include "cli/commands.h"

#include "limbeck/eval/tasks/registry.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
namespace {

nlohmann::ordered_json entries_json(const std::vector<TaskEntry>& entries) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const TaskEntry& e : entries)
    out.push_back({{"name", e.name},
                   {"group", e.group},
                   {"summary", e.summary},
                   {"file", e.file},
                   {"options", fields_json(e.options)}});
  return out;
}

bool same_options(const TaskEntry& a, const TaskEntry& b) {
  return std::equal(a.options.begin(), a.options.end(), b.options.begin(), b.options.end(),
                    [](const FieldInfo& x, const FieldInfo& y) {
                      return x.name == y.name && x.default_value == y.default_value &&
                             x.help == y.help;
                    });
}

void print_options(const TaskEntry& e) {
  for (const FieldInfo& o : e.options)
    fmt::print("      {} = {}  {}: {}\n", o.name,
               o.default_value.empty() ? "\"\"" : o.default_value, o.allowed, o.help);
}

/// Options stand once for neighbours that share them.
void print_entries(const std::vector<TaskEntry>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const TaskEntry& e = entries[i];
    fmt::print("  {:<16} {:<13} {}{}\n", e.name, e.group, e.summary,
               e.file.empty() ? "" : " (" + e.file + ")");
    if (i + 1 == entries.size() || !same_options(e, entries[i + 1])) print_options(e);
  }
}

}  // namespace

int run_task_list(const Globals& globals) {
  if (globals.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"generated", entries_json(generated_tasks())},
                                              {"published", entries_json(published_tasks())}}
                           .dump(2));
    return 0;
  }
  fmt::print(
      "A task is NAME, or NAME=FILE, with :option=value behind it; :as=NAME calls it otherwise in "
      "tables.\nA value @FILE is the file's text. The name of a benchmark stands for its generated "
      "tasks, a folder\nfor the files in it. Options stand below the last task that has "
      "them.\n\ngenerated (name, benchmark)\n");
  print_entries(generated_tasks());
  fmt::print("\nout of files, NAME=FILE\n");
  print_entries(published_tasks());
  return 0;
}

}  // namespace limbeck::cli
