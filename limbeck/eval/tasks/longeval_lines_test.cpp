#include "limbeck/eval/tasks/longeval_lines.h"

#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/tasks_testing.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

std::unique_ptr<Task> make(const LongevalOptions& options = {}) {
  return make_longeval_lines(test::made_up_resources(), options, test::word_counter());
}

TEST(LongevalLinesTest, LinesAreDistinctAndFillTheLength) {
  const auto task = make();
  for (const int64_t length : {512, 4096})
    for (int64_t i = 0; i < 50; ++i) {
      const TaskDocument d = task->document(length, i);
      const int64_t x = d.facts["x"], tokens = d.facts["tokens"];
      EXPECT_EQ(count_occurrences(d.text, ": REGISTER_CONTENT is <"), x);
      EXPECT_LE(tokens, length);
      EXPECT_GE(tokens, length - 2 * (length < 4096 ? 5 : 25) * 7);
      const TaskQuestion& q = d.questions.at(0);
      const int64_t value = std::stoll(q.outputs.at(0));
      EXPECT_TRUE(value >= 1 && value <= 50000) << value;
      const size_t at = q.text.find("line ") + 5;
      const std::string key = q.text.substr(at, q.text.find('?') - at);
      EXPECT_EQ(
          count_occurrences(d.text, fmt::format("line {}: REGISTER_CONTENT is <{}>", key, value)),
          1);
      EXPECT_EQ(count_occurrences(d.text, fmt::format("line {}:", key)), 1);
    }
}

TEST(LongevalLinesTest, AsksForMoreLinesOfTheSameDocument) {
  LongevalOptions options;
  options.questions = 7;
  const auto task = make(options);
  EXPECT_EQ(task->info().name, "longeval_lines+mq");
  const TaskDocument d = task->document(1024, 3), one = make()->document(1024, 3);
  ASSERT_EQ(d.questions.size(), 7U);
  EXPECT_EQ(d.text, one.text);
  EXPECT_EQ(d.questions[0].text, one.questions[0].text);
  std::set<std::string> texts;
  for (const TaskQuestion& q : d.questions) texts.insert(q.text);
  EXPECT_EQ(texts.size(), 7U);
}

TEST(LongevalLinesTest, ScoresTheLastInteger) {
  const auto task = make();
  TaskQuestion question;
  question.outputs = {"4711"};
  EXPECT_EQ(task->score(question, " <4711>.").score, 1.0);
  EXPECT_EQ(task->score(question, "Line 5 has 04711").score, 1.0);
  EXPECT_EQ(task->score(question, "4711, line 5").score, 0.0);
  EXPECT_EQ(task->score(question, "47110").score, 0.0);
  EXPECT_FALSE(task->score(question, "none").found);
  EXPECT_EQ(last_integer("a 12 b 007"), "7");
  EXPECT_EQ(last_integer("000"), "0");
  EXPECT_EQ(last_integer("9"), "9");
  EXPECT_EQ(last_integer(""), "");
}

TEST(LongevalLinesTest, BytesArePinned) {
  EXPECT_EQ(fnv1a64(test::bytes_of(make()->document(1536, 5))), 0xbfd915238ee4c652ULL);
}

}  // namespace
}  // namespace limbeck
