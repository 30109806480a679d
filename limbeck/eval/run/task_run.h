/// Runs methods over the documents of tasks into a folder, in units that are never repeated.
///
/// The folder holds manifest.json (everything that decides the results, written first),
/// samples.jsonl (sample_log.h) and, when the run is done, heads.jsonl, summary.json, summary.md
/// and report.html. A document never splits between shards, so each is read once. Same manifest id,
/// same results, timings apart.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/eval/document_cache.h"
#include "limbeck/eval/report/summary.h"
#include "limbeck/eval/run/document_eval.h"
#include "limbeck/eval/tasks/task_list.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace limbeck {

struct TaskPlan {
  std::vector<TaskRequest> tasks;  ///< single ones (task_list.h)
  /// Tokens of a prompt, generation included; tasks whose documents are as a file has them run
  /// once.
  std::vector<int64_t> lengths;
  int64_t samples = 50;  ///< documents of each task and length
  std::vector<MethodEntry> methods;
  std::vector<double> ratios;  ///< in (0, 1]
  /// Requests of one task with several of these as their option "seed" count as one task: the
  /// documents of all seeds stand in its cells. The first one names documents as if it were alone.
  std::vector<int64_t> seeds = {42};
  EvalMode mode = EvalMode::agnostic;
  int64_t window = 0;  ///< tokens of prompt and answer; 0 = the model's
  /// Also measures random eviction and sinks + recent window at every ratio: what any method must
  /// beat. The row without a document is always there.
  bool floors = true;
  int64_t shard = 1, shards = 1;  ///< documents whose number mod shards = shard - 1
  int64_t together = 1;     ///< units of a document that decode together: faster, the same answers
  bool keep_going = false;  ///< a document or unit that fails is recorded and scores 0
  bool anew = false;        ///< forgets what a run in the folder has done, once the plan is sound
  /// Names of the files behind `resources`, and texts that decide the wording: for the manifest, so
  /// that somebody can run it again.
  nlohmann::ordered_json inputs = nlohmann::ordered_json::object();
  /// What corpora left out (TaskResources::broken), or null: listed with what was not run.
  const std::vector<std::string>* broken = nullptr;
  std::filesystem::path folder;
  SummaryOptions summary;  ///< of the reports
  ProgressFn progress;     ///< stage "eval", unit "units"
};

/// Makes the task that is asked for; `counter` counts prompts inside the chat format.
using TaskMaker =
    std::function<std::unique_ptr<Task>(const TaskRequest& request, const PromptCounter& counter)>;

/// The plan, the model and `resources` (hashes of texts, word lists, templates) as the manifest has
/// them; "manifest_id" stands for all but "run" (time, host, shard).
nlohmann::ordered_json task_manifest(const LanguageModel& lm, const TaskPlan& plan,
                                     const nlohmann::ordered_json& resources);

/// Throws InvalidArgument for an impossible plan before any work, Mismatch when the folder holds
/// another run, and what a document or method throws unless keep_going is set.
void run_tasks(const LanguageModel& lm, const TaskPlan& plan, const TaskMaker& make,
               const nlohmann::ordered_json& resources);

}  // namespace limbeck
