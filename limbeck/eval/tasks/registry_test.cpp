#include "limbeck/eval/tasks/registry.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

namespace limbeck {
namespace {

std::unique_ptr<Task> make(std::string_view name, const OptionTexts& options = {}) {
  TaskRequest request;
  request.name = name;
  request.options = options;
  return make_task(request, test::made_up_resources(), test::word_counter());
}

TEST(RegistryTest, EveryTaskCanBeMadeAndAnswersToItsName) {
  std::set<std::string> names;
  for (const TaskEntry& entry : generated_tasks()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_FALSE(entry.summary.empty() || entry.group.empty() || entry.options.empty());
    const auto task = make(entry.name);
    EXPECT_EQ(task->info().name, entry.name);
    EXPECT_EQ(task->info().group, entry.group);
    EXPECT_FALSE(task->info().metric.empty());
    const TaskDocument d = task->document(4096, 0);
    EXPECT_EQ(d.id, "4096-0");
    EXPECT_FALSE(d.questions.empty());
    EXPECT_LE(d.facts["tokens"].get<int64_t>(), 4096);
    EXPECT_GE(task->size(4096), 1);
  }
  EXPECT_EQ(names.size(), 19U);
}

TEST(RegistryTest, OptionsAreTexts) {
  EXPECT_EQ(make("json_kv", {{"questions", "3"}})->document(4096, 0).questions.size(), 3U);
  EXPECT_EQ(test::error_text<InvalidArgument>([] {
              make("cwe", {{"gard", "off"}});
            }),
            "[cwe] unknown option \"gard\"; known: guard, offset, questions, seed, shuffle");
  EXPECT_EQ(test::error_text<InvalidArgument>([] {
              make("vt", {{"shuffle", "no"}});
            }),
            "[vt] shuffle must be one of per-sample|fixed; found no");
  EXPECT_EQ(find_task("needle_grid").options.front().name, "answer");
}

TEST(RegistryTest, UnknownNamesListTheKnown) {
  const std::string error = test::error_text<InvalidArgument>([] { make("nia"); });
  EXPECT_TRUE(error.starts_with("[tasks] task must be one of niah_single_1, "));
  EXPECT_TRUE(error.ends_with("; found \"nia\""));
  EXPECT_NE(error.find(", longbench_v2=FILE, "), std::string::npos);
}

TEST(RegistryTest, PublishedTasksTakeAFileAndGeneratedOnesNone) {
  const test::ScratchFolder folder;
  TaskRequest request;
  request.name = "longbench-v2";
  const auto error = [&] {
    return test::error_text<InvalidArgument>([&] { make_task(request, {}, test::word_counter()); });
  };
  EXPECT_EQ(error(), "[tasks] longbench_v2 takes a file, as in NAME=FILE; found none");
  request = {"json_kv", "x.jsonl", "", {}};
  EXPECT_EQ(error(), "[tasks] json_kv takes no file; found \"x.jsonl\"");
  request = {"helmet_icl", folder.write("t.jsonl", "{}").string(), "", {}};
  EXPECT_EQ(error(), "[helmet_icl] train must name the file of the examples; found none");
  request.options = {{"train", request.file}, {"dataset", "nlu"}};
  EXPECT_EQ(make_task(request, {}, test::word_counter())->info().name, "icl_nlu+mq");
}

TEST(RegistryTest, ATaskCanHaveAnotherName) {
  TaskRequest request{"niah_single_2", "", "zero", {{"offset", "zero"}}};
  const auto task = make_task(request, test::made_up_resources(), test::word_counter());
  EXPECT_EQ(task->info().name, "zero");
  EXPECT_EQ(task->document(2048, 1).text,
            make("niah_single_2", {{"offset", "zero"}})->document(2048, 1).text);
}

TEST(RegistryTest, SquadFilesFillTheLengthWithOtherParagraphs) {
  const test::ScratchFolder folder;
  nlohmann::json paragraphs;
  for (int i = 0; i < 40; ++i)
    paragraphs.push_back(
        {{"context", fmt::format("Paragraph {} {}", i, test::made_up_text(6, 50 + i))},
         {"qas",
          {{{"question", fmt::format("Which one is {}?", i)},
            {"answers", {{{"text", fmt::format("paragraph {}", i)}}}}}}}});
  const nlohmann::json file{{"data", {{{"paragraphs", paragraphs}}}}};
  const TaskRequest request{"squad", folder.write("s.json", file.dump()).string(), "", {}};
  const auto task = make_task(request, {}, test::word_counter());
  EXPECT_EQ(task->info().group, "squad");
  EXPECT_EQ(task->size(2048), 40);
  for (const int64_t i : {0, 39}) {
    const TaskDocument d = task->document(2048, i);
    EXPECT_NE(d.text.find(fmt::format("Paragraph {} ", i)), std::string::npos);
    EXPECT_GE(d.facts["documents"].get<int64_t>(), 10);
    EXPECT_LE(d.facts["tokens"].get<int64_t>(), 2048);
    const TaskScore score = task->score(d.questions[0], fmt::format("It is Paragraph {}.", i));
    EXPECT_EQ(score.score, 1);
    EXPECT_NEAR(score.more.at("qa_f1"), 2 * 0.5 / 1.5, 1e-12);
  }
}

}  // namespace
}  // namespace limbeck
