#include "limbeck/eval/tasks/published/qmsum.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

TEST(QmsumTest, AllRequestsOfAMeetingAreQuestionsOfOneDocument) {
  ScratchFolder folder;
  const auto task = make_qmsum_task(folder.write(
      "m.jsonl",
      "{\"general_query_list\": [{\"query\": \"Sum up.\", \"answer\": \"They met.\"}], "
      "\"specific_query_list\": [{\"query\": \"Who spoke?\", \"answer\": \"The chair spoke.\"}], "
      "\"meeting_transcripts\": [{\"speaker\": \"Chair\", \"content\": \"Hello . \"}, "
      "{\"speaker\": \"B\", \"content\": \"Hi\"}]}\n{\"meeting_transcripts\": [{\"speaker\": 1}]}\n"
      "{\"meeting_transcripts\": [{\"speaker\": \"\", \"content\": \"\"}]}\n"));
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("Transcript:\nChair: Hello .\nB: Hi"));
  ASSERT_EQ(document.questions.size(), 2U);
  EXPECT_EQ(document.questions[1].id, "specific-0");
  EXPECT_TRUE(document.questions[1].text.ends_with("Request: Who spoke?"));
  const TaskScore score = task->score(document.questions[1], "the chair was speaking");
  EXPECT_GT(score.score, 0.5);
  EXPECT_GT(score.more.at("rouge_l_set"), 0);
  EXPECT_EQ(
      error_text<FormatError>([&] { task->document(0, 1); }),
      "[tasks] m.jsonl line 2: field \"meeting_transcripts[0].speaker\" must be a text; found "
      "number");
  EXPECT_THROW(task->document(0, 2), FormatError);
}

TEST(QmsumTest, ReadsTheRealFile) {
  const char* set = std::getenv("LIMBECK_TEST_DATA");
  const auto path = std::filesystem::path(set != nullptr ? set : "../shared/data") / "meetings" /
                    "qmsum_test.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto task = make_qmsum_task(path);
  ASSERT_EQ(task->size(0), 35);
  size_t questions = 0;
  for (int64_t i = 0; i < 35; ++i) {
    const TaskDocument document = task->document(0, i);
    questions += document.questions.size();
    std::set<std::string> ids;
    for (const TaskQuestion& q : document.questions) {
      ids.insert(q.id);
      EXPECT_NEAR(task->score(q, q.outputs[0]).score, 1, 1e-9);
    }
    EXPECT_EQ(ids.size(), document.questions.size());
  }
  EXPECT_EQ(questions, 281U);
  EXPECT_TRUE(task->document(0, 0).questions[0].text.ends_with("Summarize the whole meeting."));
}

}  // namespace
}  // namespace limbeck
