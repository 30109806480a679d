#include "limbeck/eval/metrics/multiple_choice.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <string>

namespace limbeck {
namespace {

constexpr std::nullopt_t kNone = std::nullopt;

TEST(MultipleChoiceTest, PublishedExamples) {
  EXPECT_EQ(multiple_choice_letter("The answer is (C)."), 'C');
  EXPECT_EQ(multiple_choice_letter("The answer is C because"), 'C');
  EXPECT_EQ(multiple_choice_letter("B) because"), 'B');
  EXPECT_EQ(multiple_choice_letter("<think>A</think> Answer: d"), 'D');
  EXPECT_EQ(multiple_choice_letter("It must be (B), not (A)... so (D)"), 'D');
  for (const char* text : {"I like A or B", "A dog ate it", "The answer is a mystery", ""})
    EXPECT_EQ(multiple_choice_letter(text), kNone) << text;
}

TEST(MultipleChoiceTest, MarksMayStandBetween) {
  EXPECT_EQ(multiple_choice_letter("**Answer:** **(B)**"), 'B');
  EXPECT_EQ(multiple_choice_letter("The answer is: \"C\""), 'C');
  EXPECT_EQ(multiple_choice_letter("ANSWER:\n\nA"), 'A');
  EXPECT_EQ(multiple_choice_letter("answer is [b]"), kNone);  // no closing mark of the list
  EXPECT_EQ(multiple_choice_letter("answer is b)"), 'B');
}

TEST(MultipleChoiceTest, TheLastStatementCountsAndWordsAreNoLetters) {
  EXPECT_EQ(multiple_choice_letter("The answer is A. No: the answer is B."), 'B');
  EXPECT_EQ(multiple_choice_letter("The answer is A. That answer is best."), 'A');
  EXPECT_EQ(multiple_choice_letter("The answer is Banana."), kNone);
  EXPECT_EQ(multiple_choice_letter("The answer is E"), kNone);
  EXPECT_EQ(multiple_choice_letter("<think>The answer is A</think>"), kNone);
}

TEST(MultipleChoiceTest, TheRulesHaveAnOrder) {
  EXPECT_EQ(multiple_choice_letter("A. The answer is (B), not (C)"), 'B');
  EXPECT_EQ(multiple_choice_letter("A. Not (C)"), 'A');
  EXPECT_EQ(multiple_choice_letter("C"), 'C');
  EXPECT_EQ(multiple_choice_letter("\nD\nx"), 'D');
}

TEST(LongbenchV2Test, TakesParenthesesBeforeBareLetters) {
  EXPECT_EQ(longbench_v2_letter("**The correct answer is (B)**"), 'B');
  EXPECT_EQ(longbench_v2_letter("The correct answer is A. The correct answer is (C)"), 'C');
  EXPECT_EQ(longbench_v2_letter("The correct answer is **D**."), 'D');
  EXPECT_EQ(longbench_v2_letter("The correct answer is (B), The correct answer is (C)"), 'B');
  for (const char* text : {"the correct answer is (B)", "The correct answer is (E)",
                           "The correct answer is Best", "(B)", "The correct answer is ", ""})
    EXPECT_EQ(longbench_v2_letter(text), kNone) << text;
}

TEST(MultipleChoiceTest, TakesAnyText) {
  const std::string_view pieces[] = {"answer",
                                     " is",
                                     ":",
                                     "(",
                                     ")",
                                     "A",
                                     "b",
                                     "\n",
                                     " ",
                                     "*",
                                     "\xff",
                                     "</think>",
                                     "The correct answer is "};
  Random random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (uint64_t n = random.below(12); n > 0; --n) text += pieces[random.below(std::size(pieces))];
    for (const auto letter : {multiple_choice_letter(text), longbench_v2_letter(text)})
      EXPECT_TRUE(!letter || *letter == 'A' || *letter == 'B') << text;
  }
}

}  // namespace
}  // namespace limbeck
