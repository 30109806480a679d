/// Tests of the tasks over chains, lists and documents: vt, cwe, fwe, qa.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/ruler/fwe_counts.h"
#include "limbeck/eval/tasks/ruler/ruler.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

namespace limbeck {
namespace {

using test::count_words;
using test::made_up_resources;
using test::word_counter;
using Strings = std::vector<std::string>;

constexpr int64_t kSamples = 2000;

std::unique_ptr<Task> make(std::string_view name, const RulerOptions& options = {},
                           const TaskResources& resources = made_up_resources()) {
  return make_ruler_task(name, resources, options, word_counter());
}

/// The haystack of the task itself: between the last two empty lines.
std::string haystack_of(const TaskDocument& document) {
  const size_t begin = document.text.rfind("\n\n", document.text.size() - 3) + 2;
  return document.text.substr(begin, document.text.size() - begin - 2);
}

std::map<std::string, int64_t> counts_of(const std::string& list) {
  std::map<std::string, int64_t> out;
  std::istringstream in(list);
  for (std::string word; in >> word;)
    if (word.back() != '.' || word == "...") ++out[word];
  return out;
}

TEST(VtTest, ChainStandsInOrderBehindTheSameDemonstration) {
  const auto task = make("vt");
  std::set<std::string> demonstrations;
  for (int64_t i = 0; i < 300; ++i) {
    const TaskDocument d = task->document(1500, i);
    const TaskQuestion& q = d.questions.at(0);
    const std::string haystack = haystack_of(d), value = q.facts["value"];
    ASSERT_EQ(q.outputs.size(), 5U);
    EXPECT_EQ(std::set<std::string>(q.outputs.begin(), q.outputs.end()).size(), 5U);
    size_t before = haystack.find(fmt::format("VAR {} = {}.", q.outputs[0], value));
    ASSERT_NE(before, std::string::npos);
    for (size_t k = 1; k < 5; ++k) {
      EXPECT_EQ(q.outputs[k].size(), 5U);
      const size_t at =
          haystack.find(fmt::format("VAR {} = VAR {}.", q.outputs[k], q.outputs[k - 1]));
      ASSERT_NE(at, std::string::npos);
      EXPECT_GT(at, before);
      before = at;
    }
    EXPECT_GE(std::stoll(value), 10000);
    EXPECT_LE(std::stoll(value), 99998);
    EXPECT_EQ(count_occurrences(d.text, value), 1);
    EXPECT_EQ(count_occurrences(haystack, made_up_resources().templates.filler),
              d.facts["x"].get<int64_t>());
    EXPECT_TRUE(q.answer_prefix.find("5 variables") != std::string::npos);
    demonstrations.insert(d.text.substr(0, d.text.size() - haystack.size() - 2));
  }
  ASSERT_EQ(demonstrations.size(), 1U);
  EXPECT_LE(word_counter()(*demonstrations.begin(), "", ""), 600);
  EXPECT_EQ(count_occurrences(*demonstrations.begin(), " = VAR "), 4);
}

TEST(VtTest, SaysWhenTheDemonstrationDoesNotFit) {
  const auto bytes = [](std::string_view d, std::string_view q, std::string_view p) {
    return static_cast<int64_t>(d.size() + q.size() + p.size());
  };
  EXPECT_TRUE(test::error_text<InvalidArgument>([&] {
                make_ruler_task("vt", made_up_resources(), {}, bytes);
              }).starts_with("[vt] the demonstration must fit into 500 tokens; found "));
}

TEST(CweTest, CountsAreExact) {
  const auto task = make("cwe");
  for (const int64_t length : {1024, 4096})
    for (int64_t i = 0; i < (length == 1024 ? kSamples : 100); ++i) {
      const TaskDocument d = task->document(length, i);
      const auto counts = counts_of(haystack_of(d));
      const Strings& outputs = d.questions.at(0).outputs;
      const std::set<std::string> common(outputs.begin(), outputs.end());
      ASSERT_EQ(common.size(), 10U);
      ASSERT_EQ(static_cast<int64_t>(counts.size()), d.facts["x"].get<int64_t>());
      for (const auto& [word, count] : counts)
        ASSERT_EQ(count, length < 4096 ? (common.contains(word) ? 6 : 1)
                                       : (common.contains(word) ? 30 : 3))
            << word;
    }
}

TEST(CweTest, ListIsNumberedAndTheDemonstrationHasOtherWords) {
  const TaskDocument d = make("cwe")->document(4096, 2);
  const std::string haystack = haystack_of(d);
  const int64_t items = 10 * 30 + (d.facts["x"].get<int64_t>() - 10) * 3;
  EXPECT_TRUE(haystack.starts_with("1. "));
  EXPECT_NE(haystack.find(fmt::format(" {}. ", items)), std::string::npos);
  EXPECT_EQ(count_words(haystack), 2 * items);
  const std::string example = d.text.substr(0, d.text.size() - haystack.size() - 2);
  const auto shown = counts_of(
      example.substr(example.find("\n\n1. "), example.find("\n\nWhich") - example.find("\n\n1. ")));
  EXPECT_EQ(shown.size(), 40U);
  std::map<int64_t, int64_t> histogram;
  for (const auto& [word, count] : shown) ++histogram[count];
  EXPECT_EQ(histogram, (std::map<int64_t, int64_t>{{3, 30}, {10, 10}}));
  const auto listed = counts_of(haystack);
  for (const auto& [word, count] : shown) EXPECT_FALSE(listed.contains(word)) << word;
}

TEST(CweTest, GuardKeepsCommonWordsOutOfOthers) {
  const auto violations = [](const Task& task, const TaskDocument& d) {
    int64_t out = 0;
    const auto counts = counts_of(haystack_of(d));
    for (const std::string& common : d.questions[0].outputs)
      for (const auto& [word, count] : counts)
        out += word != common && word.find(common) != std::string::npos;
    return out;
  };
  RulerOptions options;
  options.guard = false;
  const auto guarded = make("cwe"), free = make("cwe", options);
  int64_t without = 0;
  for (int64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(violations(*guarded, guarded->document(2048, i)), 0);
    without += violations(*free, free->document(2048, i));
  }
  EXPECT_GT(without, 0);
}

TEST(FweTest, CountsArePinned) {
  EXPECT_EQ(fwe_counts(1000, 8), (std::vector<int64_t>{607, 151, 67, 37, 24, 16, 12, 9}));
  EXPECT_EQ(fwe_counts(10000, 8), (std::vector<int64_t>{6079, 1519, 675, 379, 243, 168, 124, 94}));
}

TEST(FweTest, WordsHaveTheirCountsAndTheCommonestIsDots) {
  const auto task = make("fwe");
  for (int64_t i = 0; i < kSamples; ++i) {
    const TaskDocument d = task->document(1024, i);
    const auto counts = counts_of(haystack_of(d));
    const auto expected = fwe_counts(d.facts["x"], 20);
    const Strings& outputs = d.questions.at(0).outputs;
    ASSERT_EQ(outputs.size(), 3U);
    ASSERT_EQ(counts.at("..."), expected[0]);
    for (size_t k = 0; k < 3; ++k) ASSERT_EQ(counts.at(outputs[k]), expected[k + 1]);
    ASSERT_GT(expected[3], expected[4]);
    for (const auto& [word, count] : counts)
      if (word != "..." && std::find(outputs.begin(), outputs.end(), word) == outputs.end()) {
        ASSERT_LE(count, expected[4]);
      }
  }
  EXPECT_TRUE(make("fwe")->document(1024, 0).questions[0].text.starts_with("Ignore the dots"));
}

TEST(RulerQaTest, NumbersDocumentsAndPutsTheGoldOneAmongItsArticle) {
  const auto task = make("qa_1");
  EXPECT_EQ(task->size(4096), 1800);
  for (int64_t i = 0; i < 200; ++i) {
    const TaskDocument d = task->document(4096, i);
    const TaskQuestion& q = d.questions.at(0);
    const int64_t count = d.facts["documents"], a = i / 18, p = i / 3 % 6;
    EXPECT_EQ(count, d.facts["x"].get<int64_t>());
    EXPECT_EQ(count_occurrences(d.text, "\n\nDocument "), count);
    for (int64_t other = 0; other < 6; ++other)
      EXPECT_EQ(count_occurrences(d.text, fmt::format("Paragraph {}.{} ", a, other)), 1);
    EXPECT_NE(d.text.find(fmt::format("Document {}:\nParagraph {}.{} ",
                                      q.facts["gold"].at(0).get<int64_t>(), a, p)),
              std::string::npos);
    EXPECT_EQ(q.outputs[0], fmt::format("answer {}.{}.{}", a, p, i % 3));
    EXPECT_TRUE(q.text.ends_with(fmt::format("Question: What is {} of {}.{}?", i % 3, a, p)));
  }
}

TEST(RulerQaTest, GoldPlacesAreSpreadOrFixed) {
  RulerOptions options;
  options.shuffle = "fixed";
  const auto spread = make("qa_2"), fixed = make("qa_2", options);
  std::map<int64_t, std::set<int64_t>> of_size;
  std::set<int64_t> places;
  for (int64_t i = 0; i < 60; ++i) {
    const TaskDocument d = fixed->document(4096, i);
    of_size[d.facts["documents"].get<int64_t>()].insert(
        d.questions[0].facts["gold"][0].get<int64_t>());
    places.insert(spread->document(4096, i).questions[0].facts["gold"][0].get<int64_t>());
  }
  for (const auto& [size, found] : of_size) EXPECT_EQ(found.size(), 1U) << size;
  EXPECT_GT(places.size(), 20U);
}

TEST(RulerQaTest, SmallCorpusIsTakenWholeAndItsQuestionsEnd) {
  TaskResources resources = made_up_resources();
  resources.squad = test::made_up_corpus(2, true);
  const auto task = make("qa_1", {}, resources);
  const TaskDocument d = task->document(8192, 35);
  EXPECT_EQ(d.facts["documents"], 12);
  EXPECT_EQ(d.facts["x"], 20);
  EXPECT_EQ(task->size(8192), 36);
  EXPECT_EQ(test::error_text<InvalidArgument>([&] { task->document(8192, 36); }),
            "[qa_1] index must be in [0, 36); found 36");
}

TEST(RulerQaTest, TakesRandomPreferredOnesWhenThereAreMoreThanRoom) {
  auto corpus = test::made_up_corpus(20, false);
  for (auto& question : corpus->questions)
    for (int64_t i = 0; i < 60; ++i) question.preferred.push_back(i);
  TaskResources resources = made_up_resources();
  resources.hotpot = corpus;
  const TaskDocument d = make("qa_2", {}, resources)->document(1024, 100 * 3);
  const int64_t count = d.facts["documents"];
  ASSERT_LT(count, 60);
  int64_t preferred = 0;
  for (int64_t i = 0; i < 60; ++i)
    preferred += count_occurrences(d.text, fmt::format("Paragraph {}.{} ", i / 6, i % 6));
  EXPECT_EQ(preferred, count - 1);
  EXPECT_EQ(count_occurrences(d.text, "Paragraph 16.4 "), 1);
}

TEST(RulerQaTest, AShortTextHoldsTheAnswerAndSomeOfTheQuestionsOtherDocuments) {
  auto corpus = test::made_up_corpus(20, false);
  QaCorpus::Question& question = corpus->questions[0];
  question.needed = {30, 31};
  question.gold = {30, 31};
  for (int64_t i = 0; i < 25; ++i) question.gold.push_back(i);
  TaskResources resources = made_up_resources();
  resources.hotpot = corpus;
  const auto task = make("qa_2", {}, resources);
  const TaskDocument d = task->document(1024, 0);
  const int64_t count = d.facts["documents"];
  ASSERT_LT(count, 25);
  int64_t own = 0;
  for (const int64_t i : question.gold)
    own += count_occurrences(d.text, fmt::format("Paragraph {}.{} ", i / 6, i % 6));
  EXPECT_EQ(own, count);
  for (const int64_t i : question.needed)
    EXPECT_EQ(count_occurrences(d.text, fmt::format("Paragraph {}.{} ", i / 6, i % 6)), 1);
  EXPECT_GE(task->document(8192, 0).facts["documents"], 30);
}

TEST(RulerQaTest, ManyQuestionsAreAboutDocumentsThatAreThere) {
  RulerOptions options;
  options.questions = 8;
  const auto task = make("qa_1", options);
  EXPECT_EQ(task->info().name, "qa_1+mq");
  const TaskDocument d = task->document(4096, 5);
  ASSERT_EQ(d.questions.size(), 8U);
  std::set<std::string> texts;
  for (const TaskQuestion& q : d.questions) {
    texts.insert(q.text);
    const auto gold = q.facts["gold"].at(0).get<int64_t>();
    const std::string name = q.outputs[0].substr(7, q.outputs[0].rfind('.') - 7);
    EXPECT_NE(d.text.find(fmt::format("Document {}:\nParagraph {} ", gold, name)),
              std::string::npos);
  }
  EXPECT_EQ(texts.size(), 8U);
}

TEST(RulerQaTest, FurtherQuestionsOfAShortTextNeedTheirAnswersAlone) {
  auto corpus = test::made_up_corpus(20, false);
  QaCorpus::Question &first = corpus->questions[0], &answered = corpus->questions[300],
                     &not_there = corpus->questions[303];
  first.gold = first.needed = {30, 31};
  answered.needed = {31};
  not_there.needed = {100};
  answered.gold = {31};
  not_there.gold = {30, 31, 100};
  for (int64_t i = 60; i < 90; ++i) answered.gold.push_back(i);
  // Of all others no document is there.
  for (QaCorpus::Question& q : corpus->questions)
    if (&q != &first && &q != &answered && &q != &not_there) q.gold = q.needed = {119, 118, 117};
  first.preferred.clear();
  for (int64_t i = 0; i < 30; ++i) first.preferred.push_back(i);
  TaskResources resources = made_up_resources();
  resources.hotpot = corpus;
  RulerOptions options;
  options.questions = 3;
  const TaskDocument d = make("qa_2", options, resources)->document(1024, 0);
  ASSERT_LT(d.facts["documents"].get<int64_t>(), 30);
  ASSERT_EQ(d.questions.size(), 2U);
  EXPECT_EQ(d.questions[1].outputs, answered.answers);
}

TEST(RulerQaTest, RefusesDocumentsThatTheCorpusHasNot) {
  auto corpus = test::made_up_corpus(1, false);
  corpus->questions[2].gold = {6};
  TaskResources resources = made_up_resources();
  resources.squad = corpus;
  EXPECT_EQ(test::error_text<InvalidArgument>([&] { make("qa_1", {}, resources); }),
            "[qa_1] documents of a question must be in [0, 6); found 6");
  corpus->questions[2].gold = {2, 3};
  for (const auto& needed : {std::vector<int64_t>{}, {2, 4}}) {
    corpus->questions[2].needed = needed;
    EXPECT_EQ(test::error_text<InvalidArgument>([&] { make("qa_1", {}, resources); }),
              fmt::format("[qa_1] a question's needed documents must be some of its own; found {} "
                          "of 2",
                          needed.size()));
  }
}

}  // namespace
}  // namespace limbeck
