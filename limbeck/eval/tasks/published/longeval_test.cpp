#include "limbeck/eval/tasks/published/longeval.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

constexpr const char* kRecord =
    R"({"prompt": "Remember.\n\nline a-b: REGISTER_CONTENT is <12>\n)"
    R"(line c: REGISTER_CONTENT is <034>\nline d: REGISTER_CONTENT is <5>\n)"
    R"(line d: REGISTER_CONTENT is <6>\nline e: nothing\n\nWhat is in line a-b? ", )"
    R"("expected_number": 12, "random_idx": ["a-b", 3]})";

TEST(LongEvalTest, TheDocumentEndsAtTheLastBlankLine) {
  ScratchFolder folder;
  const auto task = make_longeval_task(folder.write("l.jsonl", kRecord));
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("line e: nothing"));
  ASSERT_EQ(document.questions.size(), 1U);
  EXPECT_EQ(document.questions[0].text, "\n\nWhat is in line a-b? ");
  EXPECT_EQ(task->info().name, "longeval");
}

TEST(LongEvalTest, TheLastIntegerCounts) {
  ScratchFolder folder;
  const auto task = make_longeval_task(folder.write("l.jsonl", kRecord));
  const TaskQuestion question = task->document(0, 0).questions[0];
  EXPECT_EQ(task->score(question, "Line 3 has 12").score, 1);
  EXPECT_EQ(task->score(question, "12 is in line 3").score, 0);
  EXPECT_FALSE(task->score(question, "").found);
}

TEST(LongEvalTest, AsksFurtherKeysThatStandOnce) {
  ScratchFolder folder;
  const auto task =
      make_longeval_task(folder.write("l.jsonl", kRecord), {.questions = 9, .seed = 1});
  EXPECT_EQ(task->info().name, "longeval+mq");
  const auto questions = task->document(0, 0).questions;
  ASSERT_EQ(questions.size(), 2U);
  EXPECT_EQ(questions[1].text, "\n\nWhat is in line c? ");
  EXPECT_EQ(questions[1].outputs, std::vector<std::string>{"34"});
}

TEST(LongEvalTest, ErrorsNameTheField) {
  ScratchFolder folder;
  const auto task = make_longeval_task(
      folder.write("l.jsonl",
                   "{\"prompt\": \"x\", \"expected_number\": 1, \"random_idx\": [\"a\", 1]}\n"
                   "{\"prompt\": \"x\\n\\ny\", \"expected_number\": 1, \"random_idx\": [1]}\n"
                   "{\"prompt\": \"x\\n\\ny\", \"expected_number\": [], \"random_idx\": [\"a\"]}\n"
                   "{\"prompt\": \"x\\n\\ny\", \"expected_number\": 1, \"random_idx\": [\"a\"]}\n"),
      {.questions = 2, .seed = 1});
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 0); }),
            "[tasks] l.jsonl line 1: field \"prompt\" must have a blank line before its question");
  for (int64_t i = 1; i < 4; ++i) EXPECT_THROW(task->document(0, i), FormatError) << i;
}

TEST(LongEvalTest, ReadsTheRealFiles) {
  const char* set = std::getenv("LIMBECK_TEST_DATA");
  const auto folder = std::filesystem::path(set != nullptr ? set : "../shared/data") / "longeval";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  for (const char* name : {"200_lines.jsonl", "300_lines.jsonl"}) {
    const auto task = make_longeval_task(folder / name, {.questions = 5, .seed = 42});
    ASSERT_EQ(task->size(0), 50);
    for (int64_t i = 0; i < 50; ++i) {
      const TaskDocument document = task->document(0, i);
      ASSERT_EQ(document.questions.size(), 5U);
      std::set<std::string> keys;
      for (const TaskQuestion& q : document.questions) {
        const std::string key = q.facts.at("key");
        keys.insert(key);
        EXPECT_NE(q.text.find("in line " + key + "?"), std::string::npos);
        EXPECT_NE(
            document.text.find(fmt::format("line {}: REGISTER_CONTENT is <{}>", key, q.outputs[0])),
            std::string::npos);
      }
      EXPECT_EQ(keys.size(), 5U);
    }
  }
}

}  // namespace
}  // namespace limbeck
