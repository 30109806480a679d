#include "limbeck/eval/tasks/countdown.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/longproc_scores.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::unique_ptr<Task> make(const CountdownOptions& options = {}) {
  return make_countdown(test::made_up_resources(), options, test::word_counter());
}

TEST(CountdownTest, SearchFindsASolutionThatScores) {
  const std::array<int64_t, 4> numbers = {21, 16, 17, 26};
  const auto found = countdown_search(numbers, 46, 1000);
  ASSERT_TRUE(found);
  EXPECT_EQ(countdown_score("<solution>\n" + found->solution + "\n</solution>", numbers, 46), 1.0);
  EXPECT_EQ(count_occurrences(found->trace, "\n") + 1, found->lines);
  EXPECT_TRUE(
      found->trace.starts_with("21 + 16 = 37, left 17, 26, 37\n  26 + 17 = 43, left 37, "
                               "43\n    37 and 43 give 80, 6, 1591, no\n"));
  EXPECT_TRUE(found->trace.ends_with(" = 46, the target"));
  EXPECT_FALSE(countdown_search(numbers, 46, found->lines - 1));
  EXPECT_TRUE(countdown_search(numbers, 46, found->lines));
  EXPECT_FALSE(countdown_search({1, 1, 1, 1}, 99, 1000));
}

TEST(CountdownTest, GamesHaveTheSizeAndTheirGoldScores) {
  for (const auto& [size, least, most, cap] :
       {std::tuple("small", 8, 30, 1024), {"medium", 31, 120, 3072}, {"large", 121, 480, 10240}}) {
    CountdownOptions options;
    options.size = size;
    const auto task = make(options);
    EXPECT_EQ(task->info().max_new, cap);
    for (int64_t i = 0; i < 10; ++i) {
      const TaskDocument d = task->document(32768, i);
      EXPECT_EQ(d.facts["x"], 3);
      EXPECT_EQ(count_occurrences(d.text, "\nSearch:\n"), 3);
      const TaskQuestion& q = d.questions.at(0);
      EXPECT_GE(q.facts["search_lines"], least);
      EXPECT_LE(q.facts["search_lines"], most);
      EXPECT_EQ(task->score(q, "x\n" + q.outputs.at(0)).score, 1.0);
      EXPECT_EQ(task->score(q, "x\n" + q.outputs.at(0)).parsed, q.outputs[0]);
      EXPECT_FALSE(task->score(q, "no idea").found);
    }
  }
}

TEST(CountdownTest, ShowsFewerGamesWhereThereIsLessRoom) {
  const auto task = make();
  int64_t fewest = 3;
  for (int64_t i = 0; i < 10; ++i) {
    const TaskDocument d = task->document(1800, i);
    EXPECT_LE(d.facts["tokens"].get<int64_t>(), 1800);
    fewest = std::min(fewest, d.facts["x"].get<int64_t>());
  }
  EXPECT_LT(fewest, 3);
  EXPECT_THROW(task->document(1100, 0), InvalidArgument);
}

TEST(CountdownTest, BytesArePinned) {
  EXPECT_EQ(fnv1a64(test::bytes_of(make()->document(4096, 5))), 0xb3083c65e247eae3ULL);
}

}  // namespace
}  // namespace limbeck
