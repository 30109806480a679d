#include "limbeck/eval/run/task_run.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/eval/run/document_eval.h"
#include "limbeck/eval/run/run_folder.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace limbeck {
namespace {

void check_plan(const TaskPlan& plan) {
  if (plan.tasks.empty()) throw InvalidArgument("[eval] need a task; found none");
  if (plan.lengths.empty()) throw InvalidArgument("[eval] need a length; found none");
  if (plan.samples < 1)
    throw InvalidArgument("[eval] samples must be at least 1; found {}", plan.samples);
  if (plan.shards < 1 || plan.shard < 1 || plan.shard > plan.shards)
    throw InvalidArgument("[eval] a shard must lie in 1/n .. n/n; found {}/{}", plan.shard,
                          plan.shards);
  if (!plan.methods.empty() && plan.ratios.empty())
    throw InvalidArgument("[eval] methods need a ratio; found none");
  for (const double r : plan.ratios)
    if (!(r > 0.0 && r <= 1.0))
      throw InvalidArgument("[eval] ratios must be in (0, 1]; found {}", r);
  std::set<std::string> labels = {std::string(kFullLabel), std::string(kNoneLabel)};
  for (const MethodEntry& m : plan.methods)
    if (!labels.insert(m.label).second)
      throw InvalidArgument(
          "[eval] methods must be distinct and none \"full\" or \"none\"; found "
          "{} twice",
          m.label);
  if (std::set(plan.ratios.begin(), plan.ratios.end()).size() != plan.ratios.size() ||
      std::set(plan.lengths.begin(), plan.lengths.end()).size() != plan.lengths.size() ||
      std::set(plan.tasks.begin(), plan.tasks.end()).size() != plan.tasks.size())
    throw InvalidArgument("[eval] tasks, lengths and ratios must be distinct");
}

std::vector<EvalUnit> units_of(const TaskPlan& plan) {
  std::vector<EvalUnit> out = {{std::string(kFullLabel), 1.0, nullptr, {}}};
  for (const double ratio : plan.ratios)
    for (const MethodEntry& m : plan.methods)
      out.push_back({m.label, ratio, &m, method_fingerprint(m)});
  out.push_back({std::string(kNoneLabel), 0.0, nullptr, {}});
  return out;
}

/// A unit that failed, one row a question.
SampleUnit failed_unit(const Task& task, const TaskDocument& document, const EvalUnit& unit,
                       const std::string& error) {
  SampleUnit out;
  out.heads = {task.info().name, document.id, unit.label, document.length, unit.ratio, 0, 0, {}};
  for (const TaskQuestion& q : document.questions) {
    SampleRow row;
    row.task = task.info().name;
    row.group = task.info().group;
    row.doc_id = document.id;
    row.q_id = q.id;
    row.ordinal = document.ordinal;
    row.length = document.length;
    row.method = unit.label;
    row.budget = unit.ratio;
    row.outputs = q.outputs;
    row.finish = "error";
    row.error = error;
    out.rows.push_back(std::move(row));
  }
  return out;
}

class Runner {
 public:
  Runner(const LanguageModel& lm, const TaskPlan& plan, const TaskMaker& make,
         const std::string& manifest_id)
      : lm_(lm),
        plan_(plan),
        make_(make),
        chat_(lm, true),
        plain_(lm, false),
        units_(units_of(plan)),
        log_(plan.folder / "samples.jsonl", manifest_id) {}

  /// Units of this shard, all of them in the record now.
  int64_t run() {
    struct Work {
      std::unique_ptr<Task> task;
      int64_t length = 0, documents = 0;
    };
    std::vector<Work> all;
    for (const std::string& name : plan_.tasks)
      for (const int64_t length : plan_.lengths) {
        Work w{make_(name, chat_.counter()), length, 0};
        w.documents = std::min(plan_.samples, w.task->size(length));
        // A length that a task has no room for is found before any work.
        if (w.documents > 0 && !plan_.keep_going) w.task->document(length, 0);
        for (int64_t i = 0; i < w.documents; ++i)
          if (mine(i)) total_ += static_cast<int64_t>(units_.size());
        all.push_back(std::move(w));
      }
    for (const Work& w : all)
      for (int64_t i = 0; i < w.documents; ++i)
        if (mine(i)) run_document(*w.task, w.length, i);
    return total_;
  }

 private:
  bool mine(int64_t ordinal) const { return ordinal % plan_.shards == plan_.shard - 1; }

  void run_document(Task& task, int64_t length, int64_t index) {
    TaskDocument document;
    try {
      document = task.document(length, index);
    } catch (const FormatError& e) {
      if (!plan_.keep_going) throw;
      // Nothing is known of its questions: the failure itself is the sample.
      document.id = fmt::format("{}-{}", length, index);
      document.length = length;
      document.ordinal = index;
      document.questions.emplace_back().id = "0";
      for (const EvalUnit& u : units_)
        add(task, document, u, failed_unit(task, document, u, e.what()));
      return;
    }
    document.ordinal = index;
    std::vector<const EvalUnit*> todo;
    for (const EvalUnit& u : units_)
      if (!log_.has(key(task, document, u)))
        todo.push_back(&u);
      else
        report(1);
    if (todo.empty()) return;
    std::optional<DocumentEval> eval;
    std::string error;
    try {
      // One seed a document, whatever else is run.
      const uint64_t seed =
          fnv1a64(fmt::format("{}|{}|{}", plan_.seed, task.info().name, document.id));
      eval.emplace(lm_, task, task.info().chat ? chat_ : plain_, document,
                   static_cast<int64_t>(seed >> 1));
    } catch (const Error& e) {
      if (!plan_.keep_going) throw;
      error = e.what();
    }
    for (const EvalUnit* u : todo) {
      try {
        add(task, document, *u, eval ? eval->run(*u) : failed_unit(task, document, *u, error));
      } catch (const Error& e) {
        if (!plan_.keep_going || e.code() == ErrorCode::cancelled ||
            e.code() == ErrorCode::resource)
          throw;
        add(task, document, *u, failed_unit(task, document, *u, e.what()));
      }
    }
  }

  static SampleKey key(const Task& task, const TaskDocument& document, const EvalUnit& u) {
    return {task.info().name, document.length, document.id, u.label, u.ratio};
  }

  void add(const Task& task, const TaskDocument& document, const EvalUnit& u, SampleUnit unit) {
    const SampleKey k = key(task, document, u);
    if (!log_.has(k)) log_.append(k, std::move(unit));
    report(1);
  }

  void report(int64_t units) {
    done_ += units;
    report_progress(plan_.progress, {"eval", "units", done_, total_});
  }

  const LanguageModel& lm_;
  const TaskPlan& plan_;
  const TaskMaker& make_;
  TaskPrompt chat_, plain_;
  std::vector<EvalUnit> units_;
  SampleLog log_;
  int64_t done_ = 0, total_ = 0;
};

}  // namespace

nlohmann::ordered_json task_manifest(const LanguageModel& lm, const TaskPlan& plan,
                                     const nlohmann::ordered_json& resources) {
  nlohmann::ordered_json j;
  j["limbeck_run"] = 1;
  j["engine"] = LIMBECK_VERSION;
  j["torch"] = TORCH_VERSION;
  j["model"] = lm.name;
  j["model_fingerprint"] = lm.model.fingerprint();
  j["dtype"] = dtype_name(lm.model.dtype());
  j["tokenizer_fingerprint"] = lm.tokenizer.fingerprint();
  j["template_fingerprint"] = lm.chat_template ? lm.chat_template->fingerprint() : "";
  j["resources"] = resources;
  j["tasks"] = plan.tasks;
  j["lengths"] = plan.lengths;
  j["samples"] = plan.samples;
  j["seed"] = plan.seed;
  j["mode"] = "agnostic";
  j["chunk"] = PrefillOptions{}.chunk;
  j["ratios"] = plan.ratios;
  j["methods"] = nlohmann::ordered_json::array();
  for (const MethodEntry& m : plan.methods)
    j["methods"].push_back({{"method", m.label}, {"fingerprint", method_fingerprint(m)}});
  seal_manifest(j);
  j["run"] = {{"shard", fmt::format("{}/{}", plan.shard, plan.shards)},
              {"threads", at::get_num_threads()},
              {"keep_going", plan.keep_going}};
  return j;
}

void run_tasks(const LanguageModel& lm, const TaskPlan& plan, const TaskMaker& make,
               const nlohmann::ordered_json& resources) {
  check_plan(plan);
  const nlohmann::ordered_json manifest = task_manifest(lm, plan, resources);
  std::filesystem::create_directories(plan.folder);
  begin_run(plan.folder, manifest);
  const int64_t units = Runner(lm, plan, make, manifest.at("id").get<std::string>()).run();
  end_run(plan.folder, units);
  if (plan.shards == 1) write_reports(plan.folder);
}

}  // namespace limbeck
