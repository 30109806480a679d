#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/compare.h"
#include "limbeck/eval/run/run_folder.h"
#include "limbeck/eval/run/task_run.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/qa_corpus.h"
#include "limbeck/eval/tasks/task_list.h"
#include "limbeck/eval/text_source.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

namespace limbeck::cli {
namespace {

/// Single tasks, with the run's seed where they name none. A value @FILE is the file's text.
std::vector<TaskRequest> requested_tasks(const TaskArgs& args) {
  std::vector<TaskRequest> given;
  for (const std::string& list : args.tasks)
    for (const std::string& text : split_task_list(list)) {
      given.push_back(parse_task_request(text));
      for (auto& [key, value] : given.back().options)
        if (value.starts_with('@')) value = read_file(value.substr(1));
    }
  std::vector<std::string> notes;
  std::vector<TaskRequest> out;
  for (const int64_t seed : args.seeds) {
    if (std::count(args.seeds.begin(), args.seeds.end(), seed) > 1)
      throw InvalidArgument("[cli] --task-seed must name each seed once; found {} again", seed);
    const bool first = seed == args.seeds.front();
    std::vector<std::string> again;  // the same for every seed
    // A task without a seed, or with one of its own, is there once.
    for (TaskRequest& request :
         expand_tasks(given, {{"seed", std::to_string(seed)}}, first ? notes : again)) {
      // Nor is one whose questions a file gives: another seed would ask them again.
      const bool of_file =
          !request.file.empty() || request.name == "qa_1" || request.name == "qa_2";
      if (first || (!of_file && std::find(out.begin(), out.end(), request) == out.end()))
        out.push_back(std::move(request));
    }
  }
  // A benchmark's name asks for what can be made; a task's own name asks for the task.
  const auto leave_out = [&](const char* name, const std::string& corpus, const char* flag) {
    const auto is_it = [&](const TaskRequest& request) { return request.name == name; };
    if (!corpus.empty() || std::any_of(given.begin(), given.end(), is_it)) return;
    if (std::erase_if(out, is_it) > 0)
      notes.push_back(fmt::format("{} is left out: it needs a corpus, {}", name, flag));
  };
  leave_out("qa_1", args.squad, "--squad FILE");
  leave_out("qa_2", args.hotpot, "--hotpot FILE");
  for (const std::string& note : notes) fmt::print(stderr, "limbeck: {}\n", note);
  return out;
}

/// Material of the tasks, and its hashes for the manifest.
TaskResources resources_of(const EvalArgs& args, const TaskArgs& tasks,
                           std::vector<std::string>* broken, nlohmann::ordered_json& hashes) {
  TaskResources out;
  out.broken = broken;
  const std::string words = tasks.words.empty() ? LIMBECK_ASSETS "/words/english.txt" : tasks.words;
  out.words = std::make_shared<WordList>(WordList::load(words));
  hashes["words"] = out.words->hash();
  if (!tasks.templates.empty()) {
    const std::string what = "[templates] " + tasks.templates;
    out.templates = templates_from_json(parse_json(read_file(tasks.templates), what), what);
  }
  hashes["templates"] = templates_hash(out.templates);
  if (!args.texts.empty()) {
    std::string prose;
    auto whole = std::make_shared<std::vector<std::string>>();
    Hasher128 hash;
    for (const std::string& path : args.texts)
      for (SourceText& text : read_source_texts(path)) {
        prose += text.text + "\n";
        hash.update_u64(text.text.size());
        hash.update(text.text);
        whole->push_back(std::move(text.text));
      }
    hashes["texts"] = hash_hex(hash.digest());
    out.texts = std::move(whole);
    out.prose = std::make_shared<Prose>(prose);
    hashes["prose"] = out.prose->hash();
  }
  const auto corpus = [&](const std::string& path, const char* name, auto read) {
    hashes[name] = file_hash(path);
    return std::make_shared<QaCorpus>(read(path, broken));
  };
  if (!tasks.squad.empty()) out.squad = corpus(tasks.squad, "squad", read_squad);
  if (!tasks.hotpot.empty()) out.hotpot = corpus(tasks.hotpot, "hotpot", read_hotpotqa);
  return out;
}

/// Files by their names alone: manifests are handed on, folders of a machine are nobody's business.
nlohmann::ordered_json inputs_of(const EvalArgs& args, const TaskArgs& tasks) {
  const auto name = [](const std::string& path) {
    const std::filesystem::path p(path);
    return (p.has_filename() ? p : p.parent_path()).filename().string();
  };
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const std::string& path : args.texts) out["texts"].push_back(name(path));
  if (!tasks.squad.empty()) out["squad"] = name(tasks.squad);
  if (!tasks.hotpot.empty()) out["hotpot"] = name(tasks.hotpot);
  if (!tasks.words.empty()) out["words"] = name(tasks.words);
  if (!tasks.templates.empty())
    out["templates"] = parse_json(read_file(tasks.templates), "[templates] " + tasks.templates);
  return out;
}

void set_shard(const std::string& text, TaskPlan& plan) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos)
    throw InvalidArgument("[cli] --shard takes i/n; found \"{}\"", text);
  plan.shard = detail::parse_int("shard", text.substr(0, slash));
  plan.shards = detail::parse_int("shard", text.substr(slash + 1));
}

}  // namespace

int run_eval_tasks(const Globals& globals, const EvalArgs& args, const TaskArgs& tasks) {
  if (tasks.folder.empty())
    throw InvalidArgument("[cli] --task needs a folder for its results; give -o FOLDER");
  TaskPlan plan;
  plan.tasks = requested_tasks(tasks);
  plan.lengths = args.lengths;
  plan.samples = tasks.samples;
  plan.ratios = args.ratios;
  plan.seeds = tasks.seeds;
  plan.mode = parse_eval_mode(tasks.mode);
  plan.window = tasks.window;
  plan.summary.min_full_score = tasks.min_full_score;
  plan.keep_going = tasks.keep_going;
  plan.together = tasks.together;
  plan.folder = tasks.folder;
  set_shard(tasks.shard, plan);
  check_methods(args);
  nlohmann::ordered_json hashes;
  std::vector<std::string> broken;
  const TaskResources resources =
      resources_of(args, tasks, tasks.keep_going ? &broken : nullptr, hashes);
  plan.inputs = inputs_of(args, tasks);
  plan.broken = &broken;
  const LanguageModel lm = load(globals);
  plan.methods = read_methods(lm, args);
  plan.floors = !tasks.no_floors && !plan.methods.empty();
  plan.progress = cancellable(progress(globals));
  plan.anew = tasks.anew;
  run_tasks(
      lm, plan,
      [&](const TaskRequest& request, const PromptCounter& counter) {
        return make_task(request, resources, counter);
      },
      hashes);
  if (!globals.json)
    fmt::print("wrote     {}\n", plan.folder.string());
  else
    fmt::print("{}\n", read_manifest(plan.folder).dump(2));
  return 0;
}

int run_report(const Globals& globals, const std::vector<std::string>& folders,
               std::optional<double> min_full_score) {
  if (folders.size() == 1) {
    SummaryOptions options = summary_options(folders[0]);
    if (min_full_score) options.min_full_score = *min_full_score;
    write_reports(folders[0], options);
    fmt::print("wrote     {}\n", folders[0]);
    return 0;
  }
  const auto a = rows_of(read_units(folders.at(0))), b = rows_of(read_units(folders.at(1)));
  const RunComparison comparison = compare_runs(a, b);
  if (globals.json)
    fmt::print("{}\n", comparison_to_json(comparison, folders[0], folders[1]).dump(2));
  else
    fmt::print("{}", comparison_markdown(comparison, folders[0], folders[1]));
  return 0;
}

int run_merge(const std::vector<std::string>& folders, bool methods, const std::string& output) {
  (methods ? join_methods : merge_runs)({folders.begin(), folders.end()}, output);
  fmt::print("wrote     {}\n", output);
  return 0;
}

}  // namespace limbeck::cli
