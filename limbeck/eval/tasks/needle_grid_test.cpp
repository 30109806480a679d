#include "limbeck/eval/tasks/needle_grid.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

using test::made_up_resources;
using test::word_counter;

std::unique_ptr<Task> make(const NeedleGridOptions& options = {}) {
  return make_needle_grid(made_up_resources(), options, word_counter());
}

NeedleGridOptions own_needle() {
  NeedleGridOptions options;
  options.needle = "The best place for a picnic is the old mill.";
  options.question = "Where is the best place for a picnic?";
  options.answer = "old mill";
  return options;
}

/// The text without instruction and needles, and how many bytes of it precede the needles.
std::pair<std::string, size_t> without(const TaskDocument& d,
                                       const std::vector<std::string>& needles) {
  const size_t begin = d.text.find("\n\n") + 2;
  std::string text = d.text.substr(begin, d.text.size() - begin - 2);
  size_t first = std::string::npos;
  for (const std::string& needle : needles) {
    const size_t at = text.find(needle);
    EXPECT_NE(at, std::string::npos);
    first = std::min(first, at);
    text.erase(at == 0 ? at : at - 1, needle.size() + 1);
  }
  return {text, first};
}

TEST(NeedleGridTest, NeedlesStandAtTheLastSentenceEndWithinTheirDepth) {
  const auto task = make(own_needle());
  const auto counter = word_counter();
  const auto tokens = [&](std::string_view text) { return counter(text, "", "") - 6; };
  for (int64_t i = 0; i < 2 * kNeedleGridDepths; ++i) {
    const TaskDocument d = task->document(2048, i);
    const int64_t depth = d.facts["depth"];
    EXPECT_EQ(depth, 10 * (i % 11));
    const auto [text, at] = without(d, {own_needle().needle});
    if (depth == 0 || depth == 100) {
      EXPECT_EQ(at, depth == 0 ? 0U : text.size() + 1);
      continue;
    }
    const int64_t budget = tokens(text) * depth / 100;
    EXPECT_LE(tokens(text.substr(0, at)), budget);
    EXPECT_EQ(text.substr(at - 2, 2), ". ");
    const size_t next = text.find(". ", at);
    ASSERT_NE(next, std::string::npos);
    EXPECT_GT(tokens(text.substr(0, next + 1)), budget);
  }
}

TEST(NeedleGridTest, EveryNeedleHasItsQuestion) {
  const auto task = make();
  for (int64_t i = 0; i < 22; ++i) {
    const TaskDocument d = task->document(1024, i);
    ASSERT_EQ(d.questions.size(), 3U);
    std::set<std::string> texts;
    for (const TaskQuestion& q : d.questions) {
      texts.insert(q.text);
      EXPECT_EQ(count_occurrences(d.text, q.outputs.at(0)), 1);
      EXPECT_EQ(task->score(q, "It is " + q.outputs[0] + ".").score, 1.0);
      EXPECT_EQ(task->score(q, "It is 5.").score, 0.0);
    }
    EXPECT_EQ(texts.size(), 3U);
    const int64_t tokens = d.facts["tokens"];
    EXPECT_LE(tokens, 1024);
    EXPECT_GE(tokens, 1024 - 2 * (13 * 16 / 10 + 1));
  }
}

TEST(NeedleGridTest, BytesArePinned) {
  EXPECT_EQ(fnv1a64(test::bytes_of(make()->document(1536, 5))), 0xbf659ba379ff5daeULL);
}

TEST(NeedleGridTest, TakesANeedleOfTheUsers) {
  NeedleGridOptions options = own_needle();
  options.prefix = "The best place is";
  const TaskDocument d = make(options)->document(1024, 4);
  ASSERT_EQ(d.questions.size(), 1U);
  EXPECT_EQ(d.questions[0].text, options.question);
  EXPECT_EQ(d.questions[0].answer_prefix, options.prefix);
  EXPECT_EQ(count_occurrences(d.text, options.needle), 1);
  EXPECT_TRUE(d.text.starts_with("Read the text below"));
}

TEST(NeedleGridTest, RefusesHalfANeedle) {
  NeedleGridOptions options = own_needle();
  options.answer = "";
  EXPECT_EQ(test::error_text<InvalidArgument>([&] { make(options); }),
            "[needle_grid] needle, question and answer must be given together; found \"The best "
            "place for a picnic is the old mill.\", \"Where is the best place for a picnic?\" and "
            "\"\"");
  options.answer = "the pier";
  EXPECT_EQ(test::error_text<InvalidArgument>([&] { make(options); }),
            "[needle_grid] needle must contain its answer; found \"The best place for a picnic is "
            "the old mill.\" without \"the pier\"");
  options = {};
  options.question = "What?";
  EXPECT_THROW(make(options), InvalidArgument);
  EXPECT_THROW(make_needle_grid({}, {}, word_counter()), InvalidArgument);
  EXPECT_THROW(make()->document(100, 0), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
