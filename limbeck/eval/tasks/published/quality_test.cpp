#include "limbeck/eval/tasks/published/quality.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

std::string article(const std::string& id, const std::string& text, const std::string& question,
                    int gold, int difficult) {
  return fmt::format(R"({{"article_id": "{}", "article": "{}", "questions": [{{"question": "{}", )"
                     R"("options": ["p", "q", "r", "s"], "gold_label": {}, "difficult": {}}}]}})"
                     "\n",
                     id, text, question, gold, difficult);
}

QualityOptions with_scorer(const std::string& scorer) {
  QualityOptions options;
  options.scorer = scorer;
  return options;
}

TEST(QualityTest, RecordsOfOneArticleAreOneDocument) {
  ScratchFolder folder;
  const auto path = folder.write("q.jsonl", article("7", "text seven", "q0?", 3, 1) +
                                                article("8", "text eight", "q1?", 1, 0) +
                                                article("7", "text seven", "q2?", 4, 0));
  const auto task = make_quality_task(path);
  ASSERT_EQ(task->size(0), 2);
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("text seven"));
  ASSERT_EQ(document.questions.size(), 2U);
  EXPECT_NE(document.questions[1].text.find("q2?\n(A) p\n(B) q\n(C) r\n(D) s\n"),
            std::string::npos);
  EXPECT_EQ(document.questions[0].outputs, std::vector<std::string>{"C"});
  EXPECT_NE(document.questions[0].id, document.questions[1].id);
  EXPECT_EQ(task->document(0, 1).questions.size(), 1U);
}

TEST(QualityTest, ScoresLettersAndMarksDifficultOnes) {
  ScratchFolder folder;
  const auto path =
      folder.write("q.jsonl", article("7", "t", "q0?", 3, 1) + article("7", "t", "q1?", 1, 0));
  const auto task = make_quality_task(path);
  EXPECT_EQ(task->info().answer, AnswerKind::choose_letter);
  const auto questions = task->document(0, 0).questions;
  EXPECT_EQ(questions[0].answer_prefix, "The answer is (");
  const TaskScore right = task->score(questions[0], "C");
  EXPECT_EQ(right.score, 1);
  EXPECT_EQ(right.more.at("difficult"), 1);
  EXPECT_TRUE(task->score(questions[1], "A").more.empty());
  EXPECT_FALSE(task->score(questions[0], "E").found);
}

TEST(QualityTest, OtherScorers) {
  ScratchFolder folder;
  const auto path = folder.write("q.jsonl", article("7", "t", "q0?", 3, 0));
  const auto option = make_quality_task(path, with_scorer("option"));
  const TaskQuestion question = option->document(0, 0).questions[0];
  EXPECT_EQ(option->info().answer, AnswerKind::choose_option);
  EXPECT_EQ(option->score(question, " r").score, 1);
  EXPECT_EQ(option->score(question, "C").score, 1);
  EXPECT_EQ(option->score(question, "q").score, 0);
  const auto free = make_quality_task(path, with_scorer("generate"));
  EXPECT_EQ(free->score(question, "I think the answer is (C).").score, 1);
  EXPECT_FALSE(free->score(question, "I do not know").found);
  EXPECT_THROW(make_quality_task(path, with_scorer("luck")), InvalidArgument);
}

TEST(QualityTest, ReadsInstructionsWithLetteredOptions) {
  ScratchFolder folder;
  // A delimiter of its own: the record holds )".
  const auto task = make_quality_task(folder.write(
      "l.jsonl", R"json({"input": "long", "instructions": ["Why?\n (A) x\n (B) y (z)\n (C) w\n)json"
                 R"json( (D) v"], "outputs": ["(B) y (z)"]})json"));
  const TaskQuestion question = task->document(0, 0).questions[0];
  EXPECT_EQ(question.options, (std::vector<std::string>{"x", "y (z)", "w", "v"}));
  EXPECT_EQ(question.outputs, std::vector<std::string>{"B"});
  EXPECT_NE(question.text.find("Question: Why?\n(A) x\n"), std::string::npos);
}

TEST(QualityTest, ABrokenRecordCostsItsOwnDocumentOnly) {
  ScratchFolder folder;
  const auto task = make_quality_task(folder.write(
      "q.jsonl", "{broken\n" + article("7", "t", "q", 5, 0) + article("8", "t", "q", 1, 0) +
                     article("9", "a", "q", 1, 0) + article("9", "b", "q", 1, 0)));
  ASSERT_EQ(task->size(0), 4);
  EXPECT_THROW(task->document(0, 0), FormatError);
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 1); }),
            "[tasks] q.jsonl line 2: field \"questions[0].gold_label\" must be a whole number in "
            "[1, 4]; found 5");
  EXPECT_EQ(task->document(0, 2).questions.size(), 1U);
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 3); }),
            "[tasks] q.jsonl line 5: field \"article\" must be the same in all records of one "
            "article_id");
}

}  // namespace
}  // namespace limbeck
