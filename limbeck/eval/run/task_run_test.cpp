#include "limbeck/eval/run/task_run.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/eval/run/run_folder.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

const LanguageModel& model() {
  static const LanguageModel lm = test::tiny_language_model();
  return lm;
}

TaskPlan plan_of(const std::filesystem::path& folder, std::vector<TaskRequest> tasks) {
  TaskPlan plan;
  plan.tasks = std::move(tasks);
  plan.lengths = {64};
  plan.samples = 2;
  plan.methods = {parse_method_entry("knorm:scorer.recent=4")};
  plan.ratios = {0.5};
  plan.folder = folder;
  return plan;
}

TaskRequest lm_task(const std::string& as = "") { return {"lm", "", as, {{"continuation", "20"}}}; }

void run(
    const TaskPlan& plan,
    const std::function<std::unique_ptr<Task>(std::unique_ptr<Task>)>& wrapped =
        [](std::unique_ptr<Task> task) { return task; }) {
  TaskResources resources;
  resources.texts = std::make_shared<std::vector<std::string>>(
      std::vector<std::string>{test::made_up_book(200, 1)});
  run_tasks(model(), plan,
            [&](const TaskRequest& request, const PromptCounter& counter) {
              return wrapped(make_task(request, resources, counter));
            },
            {});
}

std::set<std::string> methods_in(const std::filesystem::path& folder) {
  std::set<std::string> out;
  for (const SampleRow& row : rows_of(read_units(folder))) out.insert(row.method);
  return out;
}

TEST(TaskRunTest, FloorsStandBesideTheMethods) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  run(plan);
  EXPECT_EQ(methods_in(plan.folder), (std::set<std::string>{"full", "none", "random", "streaming",
                                                            "knorm:scorer.recent=4"}));
  plan.folder = folder.path() / "b";
  plan.floors = false;
  run(plan);
  EXPECT_EQ(methods_in(plan.folder),
            (std::set<std::string>{"full", "none", "knorm:scorer.recent=4"}));
  plan.folder = folder.path() / "c";
  plan.floors = true;
  plan.methods = {parse_method_entry("random"), parse_method_entry("streaming")};
  run(plan);  // named by hand, they are not there twice
  EXPECT_EQ(read_units(plan.folder).size(), 2U * 4U);
}

TEST(TaskRunTest, LengthsBeyondTheWindowAreSkippedAndListed) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.lengths = {64, 200};
  plan.window = 128;
  run(plan);
  for (const SampleRow& row : rows_of(read_units(plan.folder))) EXPECT_EQ(row.length, 64);
  const std::string text = "lm at 200 tokens was not run: it needs a window of 220, found 128.";
  EXPECT_EQ(read_manifest(plan.folder)["run"]["skipped"][0], text);
  EXPECT_NE(test::read_file(plan.folder / "summary.md").find(text), std::string::npos);
}

TEST(TaskRunTest, LengthsThatHoldNoSampleAreSkippedUnlessNoneHoldsOne) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {{"json_kv", "", "", {}}, lm_task()});
  plan.lengths = {64, 1200};
  plan.samples = 1;
  run(plan);
  for (const SampleRow& row : rows_of(read_units(plan.folder))) {
    EXPECT_TRUE(row.task == "lm" || row.length == 1200);
    EXPECT_FALSE(row.task == "json_kv" && row.question.empty());
    if (row.task == "json_kv") {
      EXPECT_GT(row.metrics.at("x"), 1);
    }
  }
  const std::string note = read_manifest(plan.folder)["run"]["skipped"][0];
  EXPECT_TRUE(note.starts_with("json_kv at 64 tokens was not run: ")) << note;
  plan.lengths = {64};
  plan.folder = folder.path() / "b";
  EXPECT_THROW(run(plan), InvalidArgument);
}

/// Has a document less than it said.
class ShortTask : public Task {
 public:
  explicit ShortTask(std::unique_ptr<Task> task) : task_(std::move(task)) {}
  const TaskInfo& info() const override { return task_->info(); }
  int64_t size(int64_t length) const override { return task_->size(length); }
  TaskDocument document(int64_t length, int64_t index) override {
    if (length == 64 && index == 1) throw InvalidArgument("no room for a second");
    return task_->document(length, index);
  }
  TaskScore score(const TaskQuestion& question, std::string_view text) const override {
    return task_->score(question, text);
  }

 private:
  std::unique_ptr<Task> task_;
};

TEST(TaskRunTest, ALengthWithoutRoomForItsLastSampleIsNotBegun) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.lengths = {64, 80};
  plan.samples = 2;
  run(plan,
      [](std::unique_ptr<Task> task) { return std::make_unique<ShortTask>(std::move(task)); });
  const std::vector<SampleRow> rows = rows_of(read_units(plan.folder));
  EXPECT_EQ(rows.size(), 2U * 5U);
  for (const SampleRow& row : rows) EXPECT_EQ(row.length, 80);
  EXPECT_EQ(read_manifest(plan.folder)["run"]["skipped"][0],
            "lm at 64 tokens was not run: no room for a second.");
  // Whatever fails, a length that has no room is none of its samples.
  plan.folder = folder.path() / "b";
  plan.keep_going = true;
  run(plan,
      [](std::unique_ptr<Task> task) { return std::make_unique<ShortTask>(std::move(task)); });
  EXPECT_EQ(rows_of(read_units(plan.folder)).size(), 2U * 5U);
  // Nor does a task that no length fits end a run that is to go on.
  plan.folder = folder.path() / "c";
  plan.lengths = {64};
  run(plan,
      [](std::unique_ptr<Task> task) { return std::make_unique<ShortTask>(std::move(task)); });
  EXPECT_TRUE(read_units(plan.folder).empty());
  plan.keep_going = false;
  plan.folder = folder.path() / "d";
  EXPECT_THROW(
      run(plan,
          [](std::unique_ptr<Task> task) { return std::make_unique<ShortTask>(std::move(task)); }),
      InvalidArgument);
}

/// Scores have a part, documents a depth; there are three kinds of them. Nothing but the full cache
/// can answer.
class GridTask : public ShortTask {
 public:
  explicit GridTask(std::unique_ptr<Task> task) : ShortTask(std::move(task)) {
    info_ = ShortTask::info();
    info_.round = 3;
  }
  const TaskInfo& info() const override { return info_; }
  TaskDocument document(int64_t length, int64_t index) override {
    TaskDocument out = ShortTask::document(length, index);
    out.facts["depth"] = 50 * index;
    return out;
  }
  TaskScore score(const TaskQuestion& question, std::string_view text) const override {
    TaskScore out = ShortTask::score(question, text);
    out.more["part"] = 1;
    return out;
  }

 private:
  TaskInfo info_;
};

/// Its second document cannot be read, and scores look at what a record says of its question.
class BrokenRecordTask : public ShortTask {
 public:
  using ShortTask::ShortTask;
  TaskDocument document(int64_t length, int64_t index) override {
    if (index == 1) throw FormatError("[tasks] x line 2: broken");
    TaskDocument out = ShortTask::document(length, index);
    out.questions[0].facts["part"] = "easy";
    return out;
  }
  TaskScore score(const TaskQuestion& question, std::string_view text) const override {
    TaskScore out = ShortTask::score(question, text);
    out.more[question.facts.at("part").get<std::string>()] = 1;
    return out;
  }
};

TEST(TaskRunTest, ARecordThatCannotBeReadFailsWithoutItsParts) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.lengths = {80};
  plan.keep_going = true;
  run(plan, [](std::unique_ptr<Task> task) {
    return std::make_unique<BrokenRecordTask>(std::move(task));
  });
  int64_t failed = 0;
  for (const SampleRow& row : rows_of(read_units(plan.folder))) {
    if (row.error.empty()) continue;
    ++failed;
    EXPECT_EQ(row.error, "[tasks] x line 2: broken");
    EXPECT_FALSE(row.metrics.contains("easy"));
  }
  EXPECT_EQ(failed, 5);
}

TEST(TaskRunTest, WholeRoundsAreRunAndFailuresCountInEveryPart) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.lengths = {80};
  plan.samples = 2;
  plan.keep_going = true;
  plan.methods = {parse_method_entry("knorm")};
  plan.methods[0].options.budget = 1;  // beside a ratio
  plan.inputs["texts"] = {"a.txt"};
  const std::vector<std::string> broken = {"[tasks] x line 3: y"};
  plan.broken = &broken;
  run(plan, [](std::unique_ptr<Task> task) { return std::make_unique<GridTask>(std::move(task)); });
  int64_t failed = 0, full = 0;
  for (const SampleRow& row : rows_of(read_units(plan.folder))) {
    full += row.method == "full" ? 1 : 0;
    EXPECT_TRUE(row.metrics.contains("depth"));
    if (row.error.empty()) continue;
    ++failed;
    EXPECT_EQ(row.metrics.at("part"), 0);
  }
  EXPECT_EQ(full, 3);
  EXPECT_EQ(failed, 3);
  const auto manifest = read_manifest(plan.folder);
  EXPECT_EQ(manifest["run"]["inputs"]["texts"][0], "a.txt");
  EXPECT_EQ(manifest["run"]["skipped"][0], "A record was left out: [tasks] x line 3: y.");
}

TEST(TaskRunTest, AnewForgetsTheRunBeforeUnlessThePlanIsUnsound) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  run(plan);
  plan.samples = 1;
  EXPECT_THROW(run(plan), Mismatch);
  plan.anew = true;
  plan.ratios = {2};
  EXPECT_THROW(run(plan), InvalidArgument);
  EXPECT_EQ(read_units(plan.folder).size(), 2U * 5U);
  plan.ratios = {0.5};
  run(plan);
  EXPECT_EQ(read_units(plan.folder).size(), 1U * 5U);
}

TEST(TaskRunTest, SeveralSeedsAreDocumentsOfOneCell) {
  const ScratchFolder folder;
  const auto task = [](const char* seed) {
    return TaskRequest{"lm", "", "", {{"continuation", "20"}, {"seed", seed}}};
  };
  TaskPlan plan = plan_of(folder.path() / "one", {task("7")});
  plan.seeds = {7};
  run(plan);
  const auto alone = rows_of(read_units(plan.folder));
  plan.tasks = {task("7"), task("8")};
  plan.seeds = {7, 8};
  const auto documents = [&](const std::string& name, int64_t shard, int64_t shards) {
    plan.folder = folder.path() / name;
    plan.shard = shard;
    plan.shards = shards;
    run(plan);
    std::map<std::string, int64_t> out;
    for (const SampleRow& row : rows_of(read_units(plan.folder)))
      if (row.method == kFullLabel) out[row.doc_id] = row.ordinal;
    return out;
  };
  const auto both = documents("both", 1, 1);
  EXPECT_EQ(both, (std::map<std::string, int64_t>{
                      {"64-0", 0}, {"64-1", 1}, {"seed 8: 64-0", 2}, {"seed 8: 64-1", 3}}));
  // The first seed's are those that it has alone.
  for (const SampleRow& row : alone)
    EXPECT_EQ(read_units(folder.path() / "both")
                  .at({row.task, row.length, row.doc_id, row.method, row.budget})
                  .rows[0]
                  .metrics,
              row.metrics);
  EXPECT_EQ(documents("first", 1, 2).size() + documents("second", 2, 2).size(), 4U);
  merge_runs({folder.path() / "first", folder.path() / "second"}, folder.path() / "joined");
  EXPECT_EQ(test::read_file(folder.path() / "joined" / "heads.jsonl"),
            test::read_file(folder.path() / "both" / "heads.jsonl"));
}

TEST(TaskRunTest, AModeThatATaskCannotHaveIsFoundBeforeAnyWork) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {{"json_kv", "", "", {}}, lm_task()});
  plan.lengths = {1200};
  plan.samples = 1;
  plan.mode = EvalMode::aware;
  const std::string error =
      "[eval] lm asks nothing, so that its mode must be agnostic; found aware";
  EXPECT_EQ(error_text<InvalidArgument>([&] { run(plan); }), error);
  EXPECT_TRUE(read_units(plan.folder).empty());
  plan.folder = folder.path() / "b";
  plan.keep_going = true;
  run(plan);
  for (const SampleRow& row : rows_of(read_units(plan.folder))) EXPECT_EQ(row.task, "json_kv");
  EXPECT_EQ(read_manifest(plan.folder)["run"]["skipped"][0], "lm was not run: " + error + ".");
}

TEST(TaskRunTest, AQuestionThatIsAskedAgainHasRoomInTheWindow) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {{"json_kv", "", "", {}}});
  plan.lengths = {1200};
  plan.window = 1200;
  plan.samples = 1;
  plan.mode = EvalMode::aware;
  run(plan);
  const std::vector<SampleRow> rows = rows_of(read_units(plan.folder));
  EXPECT_EQ(rows.size(), 5U);
  for (const SampleRow& row : rows) EXPECT_EQ(row.error, "");
}

TEST(TaskRunTest, FewerDocumentsThanAskedForAreListed) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.samples = 100000;
  plan.shards = 100;
  plan.shard = 1;
  run(plan);
  const std::string note = read_manifest(plan.folder)["run"]["skipped"][0];
  EXPECT_TRUE(note.starts_with("lm at 64 tokens has ") &&
              note.ends_with(" documents of the 100000 that were asked for."))
      << note;
  // Once, whatever the number of seeds.
  plan.folder = folder.path() / "b";
  plan.tasks.push_back(plan.tasks[0]);
  plan.tasks[0].options["seed"] = "7";
  plan.tasks[1].options["seed"] = "8";
  plan.seeds = {7, 8};
  run(plan);
  EXPECT_EQ(read_manifest(plan.folder)["run"]["skipped"].size(), 1U);
}

TEST(TaskRunTest, TwoSettingsOfATaskNeedNames) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task(), lm_task()});
  EXPECT_EQ(error_text<InvalidArgument>([&] { run(plan); }),
            "[eval] tasks must have names of their own; found lm twice, give one \":as=NAME\"");
  plan = plan_of(folder.path() / "b", {lm_task(), lm_task("again")});
  run(plan);
  EXPECT_EQ(read_units(plan.folder).size(), 2U * 2U * 5U);
}

TEST(TaskRunTest, ABrokenFileStopsTheRunOrBecomesAFailedTask) {
  const ScratchFolder folder;
  const auto file = folder.write("qasper.jsonl", "[").string();
  TaskPlan plan = plan_of(folder.path() / "a", {{"longbench", file, "", {}}, lm_task()});
  EXPECT_NE(error_text<FormatError>([&] { run(plan); }).find("qasper.jsonl"), std::string::npos);
  plan.keep_going = true;
  run(plan);
  int64_t failed = 0, good = 0;
  for (const SampleRow& row : rows_of(read_units(plan.folder))) {
    (row.error.empty() ? good : failed) += 1;
    if (!row.error.empty()) {
      EXPECT_EQ(row.task, "longbench qasper");
      EXPECT_EQ(row.score, 0);
    }
  }
  EXPECT_EQ(failed, 5);
  EXPECT_EQ(good, 10);
  // Its error says what is missing; it has no number of documents.
  EXPECT_FALSE(read_manifest(plan.folder)["run"].contains("skipped"));
  // One of no bytes at all is broken as well.
  folder.write("qasper.jsonl", "");
  plan.folder = folder.path() / "b";
  run(plan);
  EXPECT_EQ(read_units(plan.folder).size(), 15U);
}

TEST(TaskRunTest, DecodingTogetherChangesNothingButTimes) {
  const ScratchFolder folder;
  TaskPlan plan =
      plan_of(folder.path() / "a", {{"json_kv", "", "", {{"questions", "2"}}}, lm_task()});
  plan.lengths = {1200};
  plan.ratios = {0.5, 0.2};
  const auto samples = [&] {
    run(plan);
    std::vector<nlohmann::ordered_json> out;
    for (SampleRow row : rows_of(read_units(plan.folder))) {
      row.seconds.clear();
      row.compaction_seconds = 0;
      row.rss_peak = 0;
      out.push_back(sample_to_json(row));
    }
    return out;
  };
  const auto apart = samples();
  plan.folder = folder.path() / "b";
  plan.together = 3;
  EXPECT_EQ(samples(), apart);
  EXPECT_EQ(read_manifest(folder.path() / "a")["manifest_id"],
            read_manifest(folder.path() / "b")["manifest_id"]);
  // A folder that goes on with another number says so.
  plan.folder = folder.path() / "a";
  EXPECT_EQ(samples(), apart);
  EXPECT_EQ(read_manifest(plan.folder)["run"]["together"], 3);
  EXPECT_NE(
      test::read_file(plan.folder / "summary.md").find("Up to 3 answers were decoded together"),
      std::string::npos);
  plan.together = 0;
  EXPECT_THROW(run(plan), InvalidArgument);
}

TEST(TaskRunTest, StepsThatCannotBeTakenAreFoundBeforeAnyWork) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path() / "a", {lm_task()});
  plan.methods = {parse_method_entry("knorm:scorer.recent=4:after=0.5")};
  plan.ratios = {0.25, 0.75};
  EXPECT_EQ(error_text<InvalidArgument>([&] { run(plan); }),
            "[eval] knorm:scorer.recent=4:after=0.5 cannot go on from 0.5 to a ratio of 0.75");
  EXPECT_FALSE(std::filesystem::exists(plan.folder));
}

TEST(TaskRunTest, TheManifestIsOfWhatDecidesResults) {
  const ScratchFolder folder;
  TaskPlan plan = plan_of(folder.path(), {lm_task()});
  const auto id = [&] { return task_manifest(model(), plan, {}).at("manifest_id"); };
  const auto first = id();
  EXPECT_EQ(first.get<std::string>().size(), 64U);
  plan.shards = 2;
  plan.keep_going = true;
  EXPECT_EQ(id(), first);
  plan.mode = EvalMode::aware;
  EXPECT_NE(id(), first);
  plan.mode = EvalMode::agnostic;
  plan.methods = {parse_method_entry("knorm:scorer.recent=5")};
  EXPECT_NE(id(), first);
  const auto manifest = task_manifest(model(), plan, {{"words", "x"}});
  EXPECT_EQ(manifest["methods"][0]["stages"][0]["scorer"]["options"]["recent"], "5");
  EXPECT_EQ(manifest["tasks"][0]["options"]["seed"], "42");
  EXPECT_EQ(manifest["resources"]["words"], "x");
  EXPECT_FALSE(manifest["engine"]["compiler"].get<std::string>().empty());
}

}  // namespace
}  // namespace limbeck
