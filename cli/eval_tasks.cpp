#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/compare.h"
#include "limbeck/eval/run/run_folder.h"
#include "limbeck/eval/run/task_run.h"
#include "limbeck/eval/tasks/qa_corpus.h"
#include "limbeck/eval/tasks/registry.h"
#include "limbeck/eval/text_source.h"
#include "limbeck/io/checksum.h"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>

namespace limbeck::cli {
namespace {

/// A benchmark's name stands for all its tasks.
std::vector<std::string> task_names(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& name : given) {
    const size_t before = out.size();
    for (const TaskEntry& task : generated_tasks())
      if (task.group == name && task.name != name) out.push_back(task.name);
    if (out.size() == before) out.push_back(find_task(name).name);  // refuses unknown ones
  }
  return out;
}

/// Material of the tasks, and its hashes for the manifest.
TaskResources resources_of(const EvalArgs& args, const TaskArgs& tasks,
                           nlohmann::ordered_json& hashes) {
  TaskResources out;
  const std::string words = tasks.words.empty() ? LIMBECK_ASSETS "/words/english.txt" : tasks.words;
  out.words = std::make_shared<WordList>(WordList::load(words));
  hashes["words"] = out.words->hash();
  hashes["templates"] = templates_hash(out.templates);
  if (!args.texts.empty()) {
    std::string prose;
    for (const std::string& path : args.texts)
      for (const SourceText& text : read_source_texts(path)) prose += text.text + "\n";
    out.prose = std::make_shared<Prose>(prose);
    hashes["prose"] = out.prose->hash();
  }
  const auto corpus = [&](const std::string& path, const char* name, auto read) {
    Hasher128 hash;
    hash.update(read_file(path));
    hashes[name] = hash_hex(hash.digest());
    return std::make_shared<QaCorpus>(read(path));
  };
  if (!tasks.squad.empty()) out.squad = corpus(tasks.squad, "squad", read_squad);
  if (!tasks.hotpot.empty()) out.hotpot = corpus(tasks.hotpot, "hotpot", read_hotpotqa);
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
  plan.tasks = task_names(tasks.tasks);
  plan.lengths = args.lengths;
  plan.samples = tasks.samples;
  plan.ratios = args.ratios;
  plan.seed = tasks.seed;
  plan.keep_going = tasks.keep_going;
  plan.folder = tasks.folder;
  set_shard(tasks.shard, plan);
  for (const std::string& text : args.methods) parse_method_entry(text);
  nlohmann::ordered_json hashes;
  const TaskResources resources = resources_of(args, tasks, hashes);
  const LanguageModel lm = load(globals);
  plan.methods = read_methods(lm, args);
  plan.progress = progress(globals);
  const std::map<std::string, std::string> options = {{"seed", std::to_string(tasks.seed)}};
  run_tasks(
      lm, plan,
      [&](const std::string& name, const PromptCounter& counter) {
        return make_task(name, resources, options, counter);
      },
      hashes);
  if (!globals.json)
    fmt::print("wrote     {}\n", plan.folder.string());
  else
    fmt::print("{}\n", read_manifest(plan.folder).dump(2));
  return 0;
}

int run_report(const Globals& globals, const std::vector<std::string>& folders) {
  if (folders.size() == 1) {
    write_reports(folders[0]);
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

int run_merge(const std::vector<std::string>& folders, const std::string& output) {
  merge_runs({folders.begin(), folders.end()}, output);
  fmt::print("wrote     {}\n", output);
  return 0;
}

}  // namespace limbeck::cli
