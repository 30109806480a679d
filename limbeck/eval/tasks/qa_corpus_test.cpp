#include "limbeck/eval/tasks/qa_corpus.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;
using Indices = std::vector<int64_t>;

std::filesystem::path data_folder() {
  const char* set = std::getenv("LIMBECK_TEST_DATA");
  return set != nullptr ? set : "../shared/data";
}

constexpr const char* kSquad = R"({"version": "2.0", "data": [
  {"title": "A", "paragraphs": [
    {"context": "p0", "qas": [
      {"question": "q0", "id": "x", "answers": [{"text": "a", "answer_start": 0}, )"
                               R"({"text": "a", "answer_start": 3},
                                               {"text": "b", "answer_start": 5}]},
      {"question": "no", "id": "y", "answers": [], "is_impossible": true}]},
    {"context": "p1", "qas": [{"question": "q1", "id": "z", "answers": [{"text": "c", )"
                               R"("answer_start": 0}]}]}]},
  {"title": "B", "paragraphs": [
    {"context": "p0", "qas": [{"question": "q2", "id": "w", "answers": [{"text": "d", )"
                               R"("answer_start": 0}]}]},
    {"context": "p2", "qas": [{"question": "no2", "id": "v", "answers": []}]}]}]})";

TEST(QaCorpusTest, SquadGivesDistinctParagraphsAndAnswerableQuestions) {
  ScratchFolder folder;
  const QaCorpus corpus = read_squad(folder.write("s.json", kSquad));
  EXPECT_EQ(corpus.documents, (std::vector<std::string>{"p0", "p1", "p2"}));
  ASSERT_EQ(corpus.questions.size(), 3U);
  EXPECT_EQ(corpus.questions[0].answers, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(corpus.questions[0].gold, Indices{0});
  EXPECT_EQ(corpus.questions[0].preferred, Indices{1});
  EXPECT_EQ(corpus.questions[1].gold, Indices{1});
  EXPECT_EQ(corpus.questions[2].text, "q2");
  EXPECT_EQ(corpus.questions[2].preferred, Indices{2});
}

TEST(QaCorpusTest, HotpotReadsBothForms) {
  ScratchFolder folder;
  const QaCorpus corpus = read_hotpotqa(folder.write("h.json", R"([
    {"question": "q0", "answer": "yes", "context": [["T", ["s1", " s2"]], ["U", []]],
     "supporting_facts": [["U", 0], ["elsewhere", 1]]},
    {"question": "q1", "answer": "z", "title_a": "V", "para_a": ["v."], "title_b": "T",
     "para_b": ["s1 s2"], "distractors": [["W", ["w"], 1.5]]}])"));
  EXPECT_EQ(corpus.documents, (std::vector<std::string>{"T\ns1 s2", "U\n", "V\nv.", "W\nw"}));
  EXPECT_EQ(corpus.questions[0].gold, (Indices{0, 1}));
  EXPECT_EQ(corpus.questions[0].needed, Indices{1});
  EXPECT_EQ(corpus.questions[1].gold, (Indices{2, 0, 3}));
  EXPECT_EQ(corpus.questions[1].needed, (Indices{2, 0}));
  EXPECT_TRUE(corpus.questions[1].preferred.empty());
}

TEST(QaCorpusTest, ErrorsNameFileAndField) {
  ScratchFolder folder;
  const auto squad = [&](const char* text) {
    return error_text<FormatError>([&] { read_squad(folder.write("s.json", text)); });
  };
  EXPECT_EQ(squad(R"({"data": [{"paragraphs": [{"context": 4}]}]})"),
            "[tasks] s.json line 1: field \"data[0].paragraphs[0].context\" must be a text; found "
            "number");
  EXPECT_EQ(
      squad(R"({"data": []})"),
      "[tasks] s.json line 1: field \"data\" must have a question with an answer; found none");
  EXPECT_EQ(squad("[]"), "[tasks] s.json: must be an object; found array");
  EXPECT_EQ(
      error_text<FormatError>([&] {
        read_hotpotqa(folder.write(
            "h.json", "[\n{\"question\": \"q\", \"answer\": \"a\", \"context\": [[\"T\"]]}]"));
      }),
      "[tasks] h.json line 2, record 1: field \"context[0]\" must be a title and a list of "
      "sentences");
  EXPECT_EQ(
      error_text<FormatError>([&] {
        read_hotpotqa(folder.write("h.json",
                                   "{\"question\": \"q\", \"answer\": \"a\", \"context\": [[\"T\", "
                                   "[]]], \"supporting_facts\": [\"T\"]}"));
      }),
      "[tasks] h.json line 1: field \"supporting_facts\" must hold lists that begin with a "
      "title");
}

TEST(QaCorpusTest, AnAnswerMustNotBeEmpty) {
  ScratchFolder folder;
  EXPECT_EQ(
      error_text<FormatError>([&] {
        read_squad(
            folder.write("s.json",
                         R"({"data": [{"paragraphs": [{"context": "one", "qas": [{"question": "a",
                      "answers": [{"text": ""}]}]}]}]})"));
      }),
      "[tasks] s.json line 2: field \"data[0].paragraphs[0].qas[0].answers[0].text\" must not "
      "be empty");
  EXPECT_EQ(error_text<FormatError>([&] {
              read_hotpotqa(folder.write("h.json", R"([{"question": "q", "answer": ""}])"));
            }),
            "[tasks] h.json line 1, record 1: field \"answer\" must not be empty");
}

TEST(QaCorpusTest, BrokenRecordsAreLeftOutWhereAskedFor) {
  ScratchFolder folder;
  std::vector<std::string> broken;
  const QaCorpus squad = read_squad(folder.write("s.json", R"({"data": [
        {"paragraphs": [{"context": "one", "qas": [{"question": "a", "answers": [{"text": "x"}]}]},
                        {"context": 4}]},
        {"paragraphs": [{"context": "two", "qas": [{"question": "b", "answers": [{"text": "y"}]}]}]}]})"),
                                    &broken);
  ASSERT_EQ(squad.questions.size(), 1U);
  EXPECT_EQ(squad.questions[0].text, "b");
  EXPECT_EQ(squad.documents[static_cast<size_t>(squad.questions[0].gold[0])], "two");
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_EQ(broken[0],
            "[tasks] s.json line 3: field \"data[0].paragraphs[1].context\" must be a text; found "
            "number");
  broken.clear();
  const QaCorpus hotpot = read_hotpotqa(
      folder.write("h.json",
                   "{\"question\": \"q\"}\nno JSON\n{\"question\": \"p\", \"answer\": "
                   "\"a\", \"context\": [[\"T\", [\"s\"]]]}\n"),
      &broken);
  ASSERT_EQ(hotpot.questions.size(), 1U);
  EXPECT_EQ(hotpot.questions[0].text, "p");
  ASSERT_EQ(broken.size(), 2U);
  EXPECT_TRUE(broken[0].starts_with("[tasks] h.json line 1: ")) << broken[0];
  EXPECT_TRUE(broken[1].starts_with("[tasks] h.json line 2: ")) << broken[1];
  EXPECT_THROW(read_hotpotqa(folder.write("h.json", "{\"question\": \"q\"}\n"), &broken),
               FormatError);
}

TEST(QaCorpusTest, ReadsTheRealSquadFile) {
  const auto path = data_folder() / "qa" / "xquad.en.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const QaCorpus corpus = read_squad(path);
  EXPECT_EQ(corpus.documents.size(), 240U);
  ASSERT_EQ(corpus.questions.size(), 1190U);
  EXPECT_EQ(corpus.questions[0].text, "How many points did the Panthers defense surrender?");
  EXPECT_EQ(corpus.questions[0].answers, std::vector<std::string>{"308"});
  for (const QaCorpus::Question& q : corpus.questions) {
    EXPECT_EQ(q.gold.size(), 1U);
    EXPECT_EQ(q.preferred.size(), 4U);
  }
}

TEST(QaCorpusTest, ReadsTheRealHotpotFile) {
  const auto path = data_folder() / "qa" / "hotpotqa_dev_sample100.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const QaCorpus corpus = read_hotpotqa(path);
  EXPECT_EQ(corpus.documents.size(), 975U);
  EXPECT_EQ(corpus.questions.size(), 100U);
  EXPECT_EQ(corpus.questions[0].gold.size(), 10U);
  EXPECT_TRUE(corpus.documents[0].starts_with("Hot Pixel\nHot Pixel is a puzzle"));
  EXPECT_EQ(std::set<std::string>(corpus.documents.begin(), corpus.documents.end()).size(), 975U);
}

}  // namespace
}  // namespace limbeck
