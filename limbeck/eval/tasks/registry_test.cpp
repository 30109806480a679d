#include "limbeck/eval/tasks/registry.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

std::unique_ptr<Task> make(std::string_view name, const OptionTexts& options = {}) {
  return make_task(name, test::made_up_resources(), options, test::word_counter());
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
  EXPECT_EQ(names.size(), 18U);
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
}

}  // namespace
}  // namespace limbeck
