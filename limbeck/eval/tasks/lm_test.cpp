#include "limbeck/eval/tasks/lm.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TaskResources resources() {
  TaskResources out;
  out.texts = std::make_shared<std::vector<std::string>>(
      std::vector<std::string>{test::made_up_text(900, 1), test::made_up_text(700, 2)});
  return out;
}

std::unique_ptr<Task> make(int64_t seed = 42) {
  LmOptions options;
  options.continuation = 64;
  options.seed = seed;
  return make_lm_task(resources(), options, test::word_counter());
}

TEST(LmTaskTest, ExcerptsHaveTheTokensAndDoNotOverlap) {
  const auto task = make();
  const auto counter = test::word_counter();
  const TaskResources texts = resources();
  std::vector<std::pair<int64_t, int64_t>> of_text[2];
  for (int64_t i = 0; i < 30; ++i) {
    const TaskDocument d = task->document(256, i);
    EXPECT_GE(counter(d.text, "", "") - counter("", "", ""), 256 + 64);
    const auto text = d.facts["text"].get<size_t>();
    const auto begin = d.facts["byte"].get<int64_t>();
    EXPECT_EQ((*texts.texts)[text].substr(static_cast<size_t>(begin), d.text.size()), d.text);
    const auto end = begin + static_cast<int64_t>(d.text.size());
    for (const auto& [b, e] : of_text[text]) EXPECT_TRUE(end <= b || e <= begin);
    of_text[text].emplace_back(begin, end);
  }
  EXPECT_FALSE(of_text[0].empty() || of_text[1].empty());
}

TEST(LmTaskTest, TheSamePlacesEachTimeAndOthersForAnotherSeed) {
  const auto a = make(), b = make();
  b->document(256, 3);  // the order of asking does not matter
  EXPECT_EQ(a->document(256, 0).text, b->document(256, 0).text);
  EXPECT_NE(a->document(256, 0).text, make(7)->document(256, 0).text);
}

TEST(LmTaskTest, SaysWhenTheTextsAreTooShort) {
  const auto task = make();
  EXPECT_EQ(task->size(1 << 20), 0);
  const std::string error = test::error_text<InvalidArgument>([&] { task->document(1 << 20, 0); });
  EXPECT_EQ(error, "[lm] texts must have room for 1 excerpts of 1048640 tokens; found room for 0");
  EXPECT_THROW(make_lm_task({}, {}, test::word_counter()), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
