/// The commands: one file each, thin over the library. Each returns the exit status.
#pragma once

#include "cli/common.h"
#include "cli/kv_flags.h"
#include "limbeck/compact/calibrate/heads.h"
#include "limbeck/compact/calibrate/shares.h"
#include "limbeck/eval/compaction_eval.h"
#include "limbeck/eval/power_calibration.h"
#include "limbeck/eval/report/summary.h"

#include <optional>

namespace limbeck::cli {

struct GenerateArgs {
  std::string prompt, system;
  bool raw = false;
  SamplingFlags sampling;
  RollingFlags rolling;
  PatternFlags pattern;
  std::string chunk;  ///< rows of a prefill chunk
};
int run_generate(const Globals& globals, const GenerateArgs& args);

struct CompactArgs {
  std::string file, output, system;
  std::string cache;  ///< compact cache behind which the text is read; empty = none
  bool raw = false;
  CompactFlags compact;
  BoundedFlags bounded;
  PatternFlags pattern;
};
int run_compact(const Globals& globals, const CompactArgs& args);

struct AskArgs {
  std::vector<std::string> caches;
  std::vector<std::string> questions;
  SamplingFlags sampling;
  RollingFlags rolling;
};
int run_ask(const Globals& globals, const AskArgs& args);

struct ChatArgs {
  std::string system;
  SamplingFlags sampling;
  RollingFlags rolling;
};
int run_chat(const Globals& globals, const ChatArgs& args);

struct DemoArgs {
  std::string assets;   ///< folder with text.txt, continuation.txt, questions.json
  bool compare = true;  ///< show other methods beside the one that was asked for
  CompactFlags compact;
};
int run_demo(const Globals& globals, const DemoArgs& args);

struct CalibrateArgs {
  std::string file, output;
  HeadCalibrationOptions options;
  PowerCalibrationOptions power;  ///< no contexts: the power is not measured and stays 0
};
int run_calibrate_heads(const Globals& globals, const CalibrateArgs& args);

struct ShareArgs {
  std::string file, output, head_weights;
  ShareCalibrationOptions options;
};
int run_calibrate_shares(const Globals& globals, const ShareArgs& args);

struct EvalArgs {
  std::vector<std::string> texts;  ///< files and folders (eval/text_source.h)
  std::vector<std::string> methods{"kvzip"};
  std::vector<double> ratios{0.2, 0.1, 0.05};
  std::vector<int64_t> lengths{1024, 2048};
  int64_t contexts = 20;
  NeedleOptions needles;
  std::string output, head_weights;
};
int run_eval(const Globals& globals, const EvalArgs& args);

struct TaskArgs {
  std::vector<std::string> tasks;  ///< lists of requests (eval/tasks/task_request.h)
  int64_t samples = 50;
  std::string shard = "1/1";
  std::string folder;         ///< of the run
  std::string squad, hotpot;  ///< corpora of qa_1 and qa_2
  std::string words;          ///< word list
  std::string templates;      ///< wording of generated tasks
  std::string mode = "agnostic";
  int64_t window = 0;
  bool no_floors = false;
  bool keep_going = false;
  bool anew = false;  ///< forgets what the folder holds
  int64_t together = 1;
  std::vector<int64_t> seeds = {42};
  double min_full_score = SummaryOptions{}.min_full_score;
};
/// Benchmark tasks with the texts, methods, ratios and lengths of `args`.
int run_eval_tasks(const Globals& globals, const EvalArgs& args, const TaskArgs& tasks);
/// One folder: its reports anew. Two: the second against the first.
int run_report(const Globals& globals, const std::vector<std::string>& folders,
               std::optional<double> min_full_score);
int run_merge(const std::vector<std::string>& folders, bool methods, const std::string& output);

/// Throws InvalidArgument for a method that there is not.
void check_methods(const EvalArgs& args);
/// Entries with their head tables, without "full" and "none".
std::vector<MethodEntry> read_methods(const LanguageModel& lm, const EvalArgs& args);

/// `output` empty: MODEL.quality.json.
int run_calibrate_quality(const Globals& globals, const EvalArgs& args, const std::string& output);

int run_inspect(const Globals& globals, const std::string& file);
int run_methods(const Globals& globals);
int run_task_list(const Globals& globals);
/// Options of a registry's entry.
nlohmann::ordered_json fields_json(const std::vector<FieldInfo>& fields);
int run_models(const Globals& globals);

}  // namespace limbeck::cli
