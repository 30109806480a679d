/// Runs methods over the documents of tasks into a folder, in units that are never repeated.
///
/// The folder holds manifest.json (everything that decides the results, written first),
/// samples.jsonl (sample_log.h) and, when the run is done, heads.jsonl, summary.json, summary.md
/// and report.html. A document never splits between shards, so each is read once. Same manifest id,
/// same results, timings apart.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/eval/document_cache.h"
#include "limbeck/eval/run/sample_log.h"
#include "limbeck/eval/tasks/task.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace limbeck {

struct TaskPlan {
  std::vector<std::string> tasks;
  std::vector<int64_t> lengths;  ///< tokens of a prompt, generation included
  int64_t samples = 50;          ///< documents of each task and length
  std::vector<MethodEntry> methods;
  std::vector<double> ratios;  ///< in (0, 1]
  int64_t seed = 42;
  int64_t shard = 1, shards = 1;  ///< documents whose number mod shards = shard - 1
  bool keep_going = false;        ///< a document or unit that fails is recorded and scores 0
  std::filesystem::path folder;
  ProgressFn progress;  ///< stage "eval", unit "units"
};

/// Makes the task that a name stands for; `counter` counts prompts inside the chat format.
using TaskMaker =
    std::function<std::unique_ptr<Task>(const std::string& name, const PromptCounter& counter)>;

/// The plan, the model and `resources` (hashes of texts, word lists, templates) as the manifest has
/// them; "id" is the fingerprint of all but "run" (time, threads, shard).
nlohmann::ordered_json task_manifest(const LanguageModel& lm, const TaskPlan& plan,
                                     const nlohmann::ordered_json& resources);

/// Throws InvalidArgument for an impossible plan before any work, Mismatch when the folder holds
/// another run, and what a document or method throws unless keep_going is set.
void run_tasks(const LanguageModel& lm, const TaskPlan& plan, const TaskMaker& make,
               const nlohmann::ordered_json& resources);

}  // namespace limbeck
