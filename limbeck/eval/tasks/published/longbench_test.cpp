#include "limbeck/eval/tasks/published/longbench.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/longbench_v2.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

std::unique_ptr<Task> task_of(const ScratchFolder& folder, const std::string& dataset,
                              const std::string& lines) {
  return make_longbench_task(folder.write(dataset + ".jsonl", lines));
}

constexpr const char* kLine =
    R"({"input": "Who {context}?", "context": "The {input} text.", "answers": ["a cat", "dog"],
    "length": 4000, "dataset": "x", "language": "en", "all_classes": null, "_id": "abc"})";

std::string one_line(std::string text) {
  std::erase(text, '\n');
  return text + "\n";
}

TEST(LongBenchTest, HasTheSixteenEnglishSetsWithTheirSlots) {
  ScratchFolder folder;
  std::set<std::string_view> categories;
  for (const LongBenchSet& set : longbench_sets()) {
    categories.insert(set.category);
    const auto path = folder.write("x.jsonl", one_line(kLine));
    EXPECT_EQ(make_longbench_task(path, {std::string(set.name), ""})->info().max_new, set.max_new);
  }
  EXPECT_EQ(longbench_sets().size(), 16U);
  EXPECT_EQ(categories.size(), 6U);
}

TEST(LongBenchTest, TheDocumentEndsBehindTheContext) {
  ScratchFolder folder;
  const auto task = task_of(folder, "hotpotqa", one_line(kLine));
  const TaskDocument document = task->document(0, 0);
  EXPECT_EQ(document.id, "0-0");
  EXPECT_TRUE(document.text.ends_with("The {input} text."));
  EXPECT_EQ(document.text.find("Who"), std::string::npos);
  ASSERT_EQ(document.questions.size(), 1U);
  EXPECT_NE(document.questions[0].text.find("Question: Who {context}?"), std::string::npos);
  EXPECT_EQ(document.questions[0].facts.at("bucket"), "4k-8k");
  EXPECT_DOUBLE_EQ(task->score(document.questions[0], "The cat").score, 1);
  EXPECT_EQ(task->info().truncation, Truncation::middle);
  EXPECT_TRUE(task->info().chat);
}

TEST(LongBenchTest, LengthBalancedFilesAreAGroupOfTheirOwn) {
  ScratchFolder folder;
  const auto task = task_of(folder, "2wikimqa_e", one_line(kLine));
  EXPECT_EQ(task->info().name, "2wikimqa_e");
  EXPECT_EQ(task->info().group, "longbench-e");
}

TEST(LongBenchTest, FewShotSetsCountTheFirstLine) {
  ScratchFolder folder;
  const std::string line =
      R"({"input": "Question: x\nType:", "context": "c", "answers": ["City"], )"
      R"("all_classes": ["City", "State"]})";
  const auto trec = task_of(folder, "trec", line);
  const TaskQuestion question = trec->document(0, 0).questions[0];
  EXPECT_FALSE(trec->info().chat);
  EXPECT_TRUE(question.text.ends_with("Question: x\nType:"));
  EXPECT_EQ(trec->score(question, "\n City State\nState").score, 0.5);
  EXPECT_EQ(trec->score(question, "State\nCity").score, 0);
  const auto samsum = task_of(folder, "samsum", line);
  EXPECT_EQ(samsum->info().stop, std::vector<std::string>{"\n"});
  EXPECT_TRUE(samsum->info().stop_after_first);
}

TEST(LongBenchTest, CodeRetrievalAndCountSets) {
  ScratchFolder folder;
  const auto code = task_of(folder, "repobench-p",
                            R"({"input": "int f(", "context": "x;\n", "answers": ["return y;"]})");
  const TaskQuestion line = code->document(0, 0).questions[0];
  EXPECT_TRUE(line.text.starts_with("int f("));
  EXPECT_EQ(code->score(line, "```\n# x\nreturn y;\n").score, 1);
  const auto retrieval =
      task_of(folder, "passage_retrieval_en",
              one_line(R"({"input": "s", "context": "c", "answers": ["Paragraph 7"]})") +
                  R"({"input": "s", "context": "c", "answers": ["seven"]})");
  EXPECT_EQ(retrieval->score(retrieval->document(0, 0).questions[0], "7 or 8").score, 0.5);
  EXPECT_EQ(error_text<FormatError>([&] { retrieval->document(0, 1); }),
            "[tasks] passage_retrieval_en.jsonl line 2: field \"answers\" must name a paragraph as "
            "in \"Paragraph 7\"");
}

TEST(LongBenchTest, RefusesChineseSetsBrokenRecordsAndWording) {
  ScratchFolder folder;
  const auto path = folder.write("hotpotqa.jsonl", "{\"context\": \"c\", \"answers\": []}\n");
  EXPECT_EQ(error_text<InvalidArgument>([&] {
              make_longbench_task(path, {"lsht", ""});
            }),
            "[longbench] lsht is Chinese and needs a word segmenter, which this build does not "
            "have; use an English set");
  EXPECT_THROW(make_longbench_task(path, {"nothing", ""}), InvalidArgument);
  const auto task = make_longbench_task(path);
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 0); }),
            "[tasks] hotpotqa.jsonl line 1: field \"input\" is missing");
  EXPECT_THROW(task->document(0, 1), InvalidArgument);
  for (const char* form : {"{input}", "{context}", "{input} {context}", "{context}{context}{input}",
                           "{context}{input}{more}"})
    EXPECT_THROW(make_longbench_task(path, {"", form}), InvalidArgument) << form;
  EXPECT_NO_THROW(make_longbench_task(path, {"", "T: {context} Q: {input}"}));
}

TEST(LongBenchV2Test, AsksWithFourOptionsAndReadsTheClosingSentence) {
  ScratchFolder folder;
  const auto task = make_longbench_v2_task(folder.write("v2.json", R"([{"_id": "1", "domain": "d",
    "sub_domain": "s", "difficulty": "hard", "length": "short", "question": " q? ", )"
                                                                   R"("choice_A": "one",
    "choice_B": " two\n", "choice_C": "three", "choice_D": "four", "answer": "B", )"
                                                                   R"("context": " text "},
    {"question": "q", "choice_A": "", "choice_B": "", "choice_C": "", "choice_D": "", "answer": "E",
    "context": ""}])"));
  ASSERT_EQ(task->size(0), 2);
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("<text>\ntext"));
  const TaskQuestion& question = document.questions[0];
  EXPECT_TRUE(question.text.starts_with("\n</text>"));
  EXPECT_NE(question.text.find("q?\n(A) one\n(B) two\n(C) three\n(D) four\n"), std::string::npos);
  EXPECT_EQ(question.facts.at("difficulty"), "hard");
  EXPECT_EQ(task->score(question, "So: **The correct answer is (B)**").score, 1);
  const TaskScore none = task->score(question, "(B)");
  EXPECT_EQ(none.score, 0);
  EXPECT_FALSE(none.found);
  EXPECT_EQ(none.more.at("compensated"), 0.25);
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 1); }),
            "[tasks] v2.json line 4, record 2: field \"answer\" must be a letter from A to D");
}

TEST(LongBenchV2Test, PartsOfTheBenchmarkHaveItsNames) {
  ScratchFolder folder;
  const auto document = [&](const std::string& parts) {
    return make_longbench_v2_task(
               folder.write("v2.jsonl", R"({"question": "q", "choice_A": "", "choice_B": "", )"
                                        R"("choice_C": "", "choice_D": "", "answer": "A", )"
                                        R"("context": "x")" +
                                            parts + "}"))
        ->document(0, 0);
  };
  EXPECT_FALSE(document("").questions[0].facts.contains("length"));
  EXPECT_EQ(document(R"(, "length": "medium")").questions[0].facts.at("length"), "medium");
  EXPECT_EQ(error_text<FormatError>([&] { document(R"(, "difficulty": "Easy")"); }),
            "[tasks] v2.jsonl line 1: field \"difficulty\" must be one of easy, hard; found "
            "\"Easy\"");
}

}  // namespace
}  // namespace limbeck
