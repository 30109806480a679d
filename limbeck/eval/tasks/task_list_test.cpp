#include "limbeck/eval/tasks/task_list.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::vector<TaskRequest> expand(const std::string& text, const OptionTexts& defaults = {}) {
  std::vector<TaskRequest> requests;
  for (const std::string& part : split_task_list(text))
    requests.push_back(parse_task_request(part));
  std::vector<std::string> notes;
  return expand_tasks(requests, defaults, notes);
}

TEST(TaskListTest, ABenchmarkStandsForItsTasksWithTheirOptions) {
  const auto tasks = expand("ruler:questions=4,longproc", {{"seed", "7"}});
  ASSERT_EQ(tasks.size(), 13U + 2U);
  EXPECT_EQ(tasks[0].name, "niah_single_1");
  EXPECT_EQ(tasks[0].options, (OptionTexts{{"questions", "4"}, {"seed", "7"}}));
  EXPECT_EQ(tasks[14].options, (OptionTexts{{"seed", "7"}}));
  EXPECT_EQ(expand("vt:seed=3", {{"seed", "7"}})[0].options.at("seed"), "3");
}

TEST(TaskListTest, AFolderStandsForItsFiles) {
  const test::ScratchFolder folder;
  folder.write("trec.jsonl", "x");
  folder.write("hotpotqa.jsonl", "x");
  folder.write("dureader.jsonl", "x");
  folder.write("readme.txt", "x");
  std::vector<std::string> notes;
  const std::vector<TaskRequest> request = {{"longbench", folder.path().string(), "", {}}};
  const auto tasks = expand_tasks(request, {{"seed", "7"}}, notes);
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(std::filesystem::path(tasks[0].file).filename(), "hotpotqa.jsonl");
  EXPECT_TRUE(tasks[0].options.empty());  // longbench draws nothing
  EXPECT_EQ(notes, std::vector<std::string>{
                       "dureader.jsonl is left out: Chinese sets need a word segmenter"});
}

TEST(TaskListTest, RefusesMistakesBeforeAnyWork) {
  using test::error_text;
  EXPECT_EQ(error_text<InvalidArgument>([] { expand("quality"); }),
            "[tasks] quality takes a file: quality=FILE; found none");
  EXPECT_EQ(error_text<InvalidArgument>([] { expand("cwe=x"); }),
            "[tasks] cwe takes no file; found x");
  EXPECT_EQ(error_text<ResourceError>([] { expand("quality=/no/such.jsonl"); }),
            "[tasks] quality: there is no file /no/such.jsonl");
  EXPECT_NE(error_text<InvalidArgument>([] { expand("cwe:guard=maybe"); }).find("guard"),
            std::string::npos);
  EXPECT_THROW(expand("ruler:as=x"), InvalidArgument);
}

TEST(TaskListTest, FactsHoldOptionsAndTheContentOfFilesNotTheirPlace) {
  const test::ScratchFolder a, b;
  const TaskRequest request{"quality", a.write("q.jsonl", "one").string(), "", {}};
  TaskRequest moved = request, changed = request;
  moved.file = b.write("q.jsonl", "one").string();
  const auto facts = task_facts(request);
  EXPECT_EQ(facts, task_facts(moved));
  EXPECT_EQ(facts["task"], "quality");
  EXPECT_EQ(facts["options"]["scorer"], "letter");
  changed.file = b.write("q.jsonl", "two").string();
  EXPECT_NE(facts, task_facts(changed));
  TaskRequest icl{"helmet_icl", request.file, "", {{"train", request.file}}};
  EXPECT_EQ(task_facts(icl)["options"]["train"]["name"], "q.jsonl");
}

TEST(TaskListTest, ABrokenTaskFailsWithItsError) {
  const auto task = make_broken_task({"quality", "/x/q.jsonl", "", {}}, "[tasks] q.jsonl: {bad}");
  EXPECT_EQ(task->info().name, "quality q");
  EXPECT_EQ(task->size(0), 1);
  EXPECT_EQ(test::error_text<FormatError>([&] { task->document(0, 0); }), "[tasks] q.jsonl: {bad}");
}

}  // namespace
}  // namespace limbeck
