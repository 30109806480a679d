#include "limbeck/eval/run/task_run.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/eval/method_facts.h"
#include "limbeck/eval/run/build_facts.h"
#include "limbeck/eval/run/run_folder.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace limbeck {
namespace {

void check_plan(const TaskPlan& plan) {
  if (plan.tasks.empty()) throw InvalidArgument("[eval] need a task; found none");
  if (plan.lengths.empty()) throw InvalidArgument("[eval] need a length; found none");
  if (plan.seeds.empty()) throw InvalidArgument("[eval] need a seed; found none");
  if (plan.samples < 1)
    throw InvalidArgument("[eval] samples must be at least 1; found {}", plan.samples);
  if (plan.shards < 1 || plan.shard < 1 || plan.shard > plan.shards)
    throw InvalidArgument("[eval] a shard must lie in 1/n .. n/n; found {}/{}", plan.shard,
                          plan.shards);
  if (plan.together < 1)
    throw InvalidArgument("[eval] together must be at least 1; found {}", plan.together);
  if (plan.window < 0)
    throw InvalidArgument("[eval] window must be at least 0; found {}", plan.window);
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
  check_steps(plan.methods, plan.ratios);
  if (std::set(plan.ratios.begin(), plan.ratios.end()).size() != plan.ratios.size() ||
      std::set(plan.lengths.begin(), plan.lengths.end()).size() != plan.lengths.size())
    throw InvalidArgument("[eval] lengths and ratios must be distinct");
}

/// Methods of the floors that the plan does not name itself.
std::vector<MethodEntry> floors_of(const TaskPlan& plan) {
  std::vector<MethodEntry> out;
  if (!plan.floors) return out;
  for (const std::string_view label : kFloorMethods) {
    const bool there = std::any_of(plan.methods.begin(), plan.methods.end(),
                                   [&](const MethodEntry& m) { return m.label == label; });
    if (!there) out.push_back(parse_method_entry(std::string(label)));
  }
  return out;
}

std::vector<EvalUnit> units_of(const TaskPlan& plan, const std::vector<MethodEntry>& floors) {
  std::vector<EvalUnit> out = {{std::string(kFullLabel), 1.0, nullptr, {}}};
  for (const double ratio : plan.ratios)
    for (const auto* methods : {&plan.methods, &floors})
      for (const MethodEntry& m : *methods)
        out.push_back({m.label, ratio, &m, method_fingerprint(m)});
  out.push_back({std::string(kNoneLabel), 0.0, nullptr, {}});
  return out;
}

bool can_be_recorded(const Error& e) {
  return e.code() != ErrorCode::cancelled && e.code() != ErrorCode::resource &&
         e.code() != ErrorCode::internal;
}
bool can_be_recorded(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return can_be_recorded(e);
  } catch (...) {
    return false;
  }
}
std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

/// A unit that failed, one row a question. `known`: the questions are the document's own.
SampleUnit failed_unit(const Task& task, const TaskDocument& document, const EvalUnit& unit,
                       EvalMode mode, const std::string& error, bool known = true) {
  SampleUnit out;
  out.heads = {task.info().name, document.id, unit.label, document.length, unit.ratio, 0, 0, {}};
  for (const TaskQuestion& q : document.questions) {
    SampleRow row;
    row.task = task.info().name;
    row.group = task.info().group;
    row.category = task.info().category;
    row.mode = eval_mode_name(mode);
    row.doc_id = document.id;
    row.q_id = q.id;
    row.ordinal = document.ordinal;
    row.length = document.length;
    row.method = unit.label;
    row.budget = unit.ratio;
    row.question = q.text;
    row.outputs = q.outputs;
    row.source = document.source;
    row.finish = "error";
    row.error = error;
    set_facts(document, row);
    // Parts of a benchmark that its questions belong to count it as 0 like the whole.
    if (known)
      for (const auto& [name, value] : task.score(q, "").more) row.metrics[name] = 0;
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
        floors_(floors_of(plan)),
        units_(units_of(plan, floors_)),
        log_(plan.folder / "samples.jsonl", manifest_id) {}

  /// Units of this shard, all of them in the record now.
  int64_t run() {
    struct Work {
      Task* task = nullptr;
      int64_t length = 0, documents = 0;
      size_t seed = 0;  ///< number of the seed
    };
    std::vector<Work> all;
    std::set<std::pair<std::string, size_t>> names;
    for (const TaskRequest& request : plan_.tasks) {
      tasks_.push_back(make_task(request));
      Task& task = *tasks_.back();
      const TaskInfo& info = task.info();
      const size_t seed = seed_of(request);
      if (!names.emplace(info.name, seed).second)
        throw InvalidArgument(
            "[eval] tasks must have names of their own; found {} twice, give one \":as=NAME\"",
            info.name);
      if (!has_mode(info)) continue;
      std::exception_ptr too_small;
      size_t works = 0;
      for (const int64_t length : info.sized ? plan_.lengths : std::vector<int64_t>{0}) {
        if (skips(info, length)) continue;
        const int64_t documents = std::min(samples_of(info), task.size(length));
        try {
          check_room(task, length, documents);
        } catch (const InvalidArgument& e) {
          too_small = std::current_exception();
          note(fmt::format("{} at {} tokens was not run: {}.", info.name, length, e.what()));
          continue;
        }
        ++works;
        Work w{&task, length, documents, seed};
        note_size(info, w.documents, length);
        for (int64_t i = 0; i < w.documents; ++i)
          if (mine(ordinal(info, i, seed))) total_ += static_cast<int64_t>(units_.size());
        all.push_back(w);
      }
      if (works == 0 && too_small && !plan_.keep_going) std::rethrow_exception(too_small);
    }
    for (const Work& w : all)
      for (int64_t i = 0; i < w.documents; ++i)
        if (mine(ordinal(w.task->info(), i, w.seed))) run_document(*w.task, w.length, i, w.seed);
    return total_;
  }

  /// "lm at 16384 tokens: ...", what was not run because the window is too small.
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  /// What no document can be run in is found before any work.
  bool has_mode(const TaskInfo& info) {
    try {
      check_mode(info, plan_.mode);
    } catch (const InvalidArgument& e) {
      if (!plan_.keep_going) throw;
      note(fmt::format("{} was not run: {}.", info.name, e.what()));
      return false;
    }
    return true;
  }
  /// Once, though seeds may say the same.
  void note(const std::string& text) {
    if (std::find(skipped_.begin(), skipped_.end(), text) == skipped_.end())
      skipped_.push_back(text);
  }
  /// Fewer documents than were asked for are listed, but for a file that cannot be read: its error
  /// is.
  void note_size(const TaskInfo& info, int64_t documents, int64_t length) {
    if (unreadable_.contains(info.name)) return;
    const std::string what =
        info.sized ? fmt::format("{} at {} tokens", info.name, length) : info.name;
    if (documents == 0)
      note(fmt::format("{} was not run: it has no document of this length.", what));
    else if (documents < samples_of(info))
      note(fmt::format("{} has {} documents of the {} that were asked for.", what, documents,
                       samples_of(info)));
  }
  /// Where the question is compacted with the document and asked again, it counts twice.
  PromptCounter counter() const {
    PromptCounter once = chat_.counter();
    if (plan_.mode != EvalMode::aware) return once;
    return [once, this](std::string_view document, std::string_view question,
                        std::string_view answer_prefix) {
      return once(document, question, answer_prefix) +
             static_cast<int64_t>(chat_.document(question).size());
    };
  }
  /// Which of the plan's seeds a task has; one of its own, or none, counts as the first.
  size_t seed_of(const TaskRequest& request) const {
    const auto option = request.options.find("seed");
    if (option == request.options.end()) return 0;
    for (size_t k = 0; k < plan_.seeds.size(); ++k)
      if (option->second == std::to_string(plan_.seeds[k])) return k;
    return 0;
  }
  /// As many as the plan says, in whole rounds.
  int64_t samples_of(const TaskInfo& info) const {
    return (plan_.samples + info.round - 1) / info.round * info.round;
  }
  int64_t ordinal(const TaskInfo& info, int64_t index, size_t seed) const {
    return static_cast<int64_t>(seed) * samples_of(info) + index;
  }
  /// What a task has no room for is found before any work; other lengths may have it. Throws
  /// InvalidArgument; broken records only where they end the run.
  void check_room(Task& task, int64_t length, int64_t documents) const {
    for (const int64_t index : {int64_t{0}, std::max<int64_t>(0, documents - 1)}) try {
        task.document(length, index);
      } catch (const FormatError&) {
        if (!plan_.keep_going) throw;
      }
  }
  bool mine(int64_t ordinal) const { return ordinal % plan_.shards == plan_.shard - 1; }

  std::unique_ptr<Task> make_task(const TaskRequest& request) {
    try {
      return make_(request, counter());
    } catch (const FormatError& e) {
      if (!plan_.keep_going) throw;
      std::unique_ptr<Task> task = make_broken_task(request, e.what());
      unreadable_.insert(task->info().name);
      return task;
    }
  }

  bool skips(const TaskInfo& info, int64_t length) {
    if (!info.sized) return false;
    const int64_t model_window = lm_.model.spec().context_length;
    const int64_t window = plan_.window > 0 ? std::min(plan_.window, model_window) : model_window;
    // A length has everything in it, except that of `lm`, which is the compacted text alone.
    const bool continues = info.answer == AnswerKind::continue_text;
    const int64_t needed =
        continues ? static_cast<int64_t>((info.chat ? chat_ : plain_).before().size()) + length +
                        info.max_new
                  : length;
    if (needed <= window) return false;
    note(fmt::format("{} at {} tokens was not run: it needs a window of {}, found {}.", info.name,
                     length, needed, window));
    return true;
  }

  void run_document(Task& task, int64_t length, int64_t index, size_t seed_number) {
    TaskDocument document;
    const std::string of_seed =
        seed_number == 0 ? "" : fmt::format("seed {}: ", plan_.seeds[seed_number]);
    try {
      document = task.document(length, index);
      document.id = of_seed + document.id;
    } catch (const Error& e) {
      if (!plan_.keep_going || !can_be_recorded(e)) throw;
      // Nothing is known of its questions: the failure itself is the sample.
      document.id = fmt::format("{}{}-{}", of_seed, length, index);
      document.length = length;
      document.ordinal = ordinal(task.info(), index, seed_number);
      document.questions.emplace_back().id = "0";
      for (const EvalUnit& u : units_)
        add(task, document, u, failed_unit(task, document, u, plan_.mode, e.what(), false));
      return;
    }
    document.ordinal = ordinal(task.info(), index, seed_number);
    std::vector<const EvalUnit*> todo;
    for (const EvalUnit& u : units_)
      if (!log_.has(key(task, document, u)))
        todo.push_back(&u);
      else
        ++resumed_;
    if (todo.empty()) return;
    std::optional<DocumentEval> eval;
    std::string error;
    try {
      // One seed a document, whatever else is run.
      const uint64_t seed =
          fnv1a64(fmt::format("{}|{}|{}", plan_.seeds.front(), task.info().name, document.id));
      eval.emplace(lm_, task, task.info().chat ? chat_ : plain_, document,
                   DocumentSettings{plan_.mode, plan_.window, static_cast<int64_t>(seed >> 1),
                                    [this](const auto& e) { return ends_run(e); }});
    } catch (const Error& e) {
      if (!plan_.keep_going || !can_be_recorded(e)) throw;
      error = e.what();
    }
    if (!eval) {
      for (const EvalUnit* u : todo)
        add(task, document, *u, failed_unit(task, document, *u, plan_.mode, error));
      return;
    }
    const auto together =
        eval->decodes_together() ? static_cast<size_t>(plan_.together) : size_t{1};
    for (size_t first = 0; first < todo.size(); first += together)
      run_units(*eval, task, document,
                std::span<const EvalUnit* const>(todo).subspan(
                    first, std::min(together, todo.size() - first)));
  }

  bool ends_run(const std::exception_ptr& error) const {
    return !plan_.keep_going || !can_be_recorded(error);
  }

  /// What went well is in the record before an error ends the run.
  void run_units(DocumentEval& eval, const Task& task, const TaskDocument& document,
                 std::span<const EvalUnit* const> units) {
    std::vector<DocumentEval::Outcome> outcomes = eval.run(units);
    std::exception_ptr fatal;
    for (size_t i = 0; i < units.size(); ++i) {
      if (outcomes[i].error && !ends_run(outcomes[i].error)) {
        outcomes[i].unit =
            failed_unit(task, document, *units[i], plan_.mode, text_of(outcomes[i].error));
        outcomes[i].error = nullptr;
      }
      const SampleKey k = key(task, document, *units[i]);
      if (outcomes[i].error)
        fatal = fatal ? fatal : outcomes[i].error;
      else if (outcomes[i].unit && !log_.has(k))
        log_.append(k, std::move(*outcomes[i].unit));
    }
    if (fatal) std::rethrow_exception(fatal);
    report(static_cast<int64_t>(units.size()));
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
    report_progress(plan_.progress, {"eval", "units", resumed_ + done_, total_, resumed_});
  }

  const LanguageModel& lm_;
  const TaskPlan& plan_;
  const TaskMaker& make_;
  TaskPrompt chat_, plain_;
  std::vector<MethodEntry> floors_;
  std::vector<EvalUnit> units_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<std::string> skipped_;
  std::set<std::string> unreadable_;  ///< names of tasks whose file is broken as a whole
  SampleLog log_;
  int64_t done_ = 0, resumed_ = 0, total_ = 0;
};

}  // namespace

nlohmann::ordered_json task_manifest(const LanguageModel& lm, const TaskPlan& plan,
                                     const nlohmann::ordered_json& resources) {
  const ModelSpec& spec = lm.model.spec();
  nlohmann::ordered_json j;
  j["limbeck_run"] = 2;
  j["engine"] = build_facts();
  j["device"] = "cpu";
  j["threads"] = at::get_num_threads();
  j["deterministic"] = at::globalContext().deterministicAlgorithms();
  j["model"] = {{"name", lm.name},
                {"family", spec.family},
                {"fingerprint", lm.model.fingerprint()},
                {"layers", spec.layer_count()},
                {"hidden", spec.hidden},
                {"heads", spec.query_heads},
                {"kv_heads", spec.kv_heads},
                {"head_dim", spec.head_dim},
                {"vocabulary", spec.vocabulary},
                {"context", spec.context_length},
                {"dtype", dtype_name(lm.model.dtype())}};
  j["tokenizer"] = lm.tokenizer.fingerprint();
  j["chat_template"] = lm.chat_template ? lm.chat_template->fingerprint() : "";
  j["resources"] = resources;
  j["tasks"] = nlohmann::ordered_json::array();
  for (const TaskRequest& task : plan.tasks) j["tasks"].push_back(task_facts(task));
  j["lengths"] = plan.lengths;
  j["samples"] = plan.samples;
  if (plan.seeds.size() == 1)
    j["seed"] = plan.seeds.front();
  else
    j["seed"] = plan.seeds;
  j["mode"] = eval_mode_name(plan.mode);
  j["window"] = plan.window;
  j["chunk"] = PrefillOptions{}.chunk;
  j["ratios"] = plan.ratios;
  j["methods"] = nlohmann::ordered_json::array();
  const std::vector<MethodEntry> floors = floors_of(plan);
  for (const auto* methods : {&plan.methods, &floors})
    for (const MethodEntry& m : *methods) j["methods"].push_back(method_facts(m));
  seal_manifest(j);
  j["run"] = host_facts();
  j["run"]["shard"] = fmt::format("{}/{}", plan.shard, plan.shards);
  j["run"]["together"] = plan.together;
  j["run"]["min_full_score"] = plan.summary.min_full_score;
  j["run"]["keep_going"] = plan.keep_going;
  j["run"]["inputs"] = plan.inputs;
  return j;
}

void run_tasks(const LanguageModel& lm, const TaskPlan& plan, const TaskMaker& make,
               const nlohmann::ordered_json& resources) {
  check_plan(plan);
  const nlohmann::ordered_json manifest = task_manifest(lm, plan, resources);
  if (plan.anew) forget_run(plan.folder);
  std::filesystem::create_directories(plan.folder);
  begin_run(plan.folder, manifest);
  Runner runner(lm, plan, make, manifest.at("manifest_id").get<std::string>());
  const int64_t units = runner.run();
  std::vector<std::string> missing = runner.skipped();
  if (plan.broken != nullptr)
    for (const std::string& error : std::set<std::string>(plan.broken->begin(), plan.broken->end()))
      missing.push_back(fmt::format("A record was left out: {}.", error));
  end_run(plan.folder, units, missing);
  if (plan.shards == 1) write_reports(plan.folder, plan.summary);
}

}  // namespace limbeck
