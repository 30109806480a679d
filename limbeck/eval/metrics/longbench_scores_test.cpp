#include "limbeck/eval/metrics/longbench_scores.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>

#include <vector>

namespace limbeck {
namespace {

using Texts = std::vector<std::string>;

const Texts kClasses = {"Other location", "City",         "Country", "Mountain",
                        "State",          "Other number", "Number",  "Date"};

TEST(LongbenchScoresTest, ClassificationSharesAmongTheClassesNamed) {
  EXPECT_EQ(classification_score("City Country", "City", kClasses), 0.5);
  EXPECT_EQ(classification_score("Other number", "Other number", kClasses), 1);
  EXPECT_EQ(classification_score("Other number", "Number", kClasses), 0);
  EXPECT_EQ(classification_score("city", "City", kClasses), 0);
  EXPECT_EQ(classification_score("", "City", kClasses), 0);
}

TEST(LongbenchScoresTest, ClassificationSkipsTheClassBehindADeletedOne) {
  EXPECT_EQ(classification_score("x ABC", "ABC", Texts{"A", "AB", "B", "ABC"}), 0.5);
  EXPECT_EQ(classification_score("x ABC", "ABC", Texts{"A", "ABC"}), 1);
}

TEST(LongbenchScoresTest, CountIsTheShareOfRightNumbers) {
  EXPECT_EQ(count_score("1 2 12 12", "12"), 0.5);
  EXPECT_EQ(count_score("012", "12"), 0);
  EXPECT_EQ(count_score("no digits", "12"), 0);
  EXPECT_EQ(count_score("There are 12.", "12"), 1);
}

TEST(LongbenchScoresTest, RetrievalComparesTheParagraphsNumber) {
  EXPECT_EQ(retrieval_score("Paragraph 7 or 8", "Paragraph 7"), 0.5);
  EXPECT_EQ(retrieval_score("par. 17", "Paragraph 7"), 0);
  EXPECT_EQ(retrieval_score("7", "Paragraph x, Paragraph 7"), 1);
  EXPECT_THROW(retrieval_score("7", "7"), InvalidArgument);
  EXPECT_FALSE(paragraph_number("Paragraph"));
}

TEST(LongbenchScoresTest, FirstLineDropsLineFeedsOnly) {
  EXPECT_EQ(first_line("\n\n a b \nc"), " a b ");
  EXPECT_EQ(first_line("\n\n"), "");
  EXPECT_EQ(first_line(""), "");
  EXPECT_EQ(first_line("a"), "a");
}

}  // namespace
}  // namespace limbeck
