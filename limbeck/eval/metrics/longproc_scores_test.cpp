#include "limbeck/eval/metrics/longproc_scores.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/eval/metrics/tagged_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace limbeck {
namespace {

constexpr const char* kGold = "name\tprice\nThe Apple\t$1\nPear\t2\n";

TEST(TableScoreTest, PublishedExample) {
  const TableScore score =
      table_score("Here:\n```tsv\nname\tprice\nPear\t2\napple\t1\nPlum\t3\n```\nDone", kGold);
  EXPECT_NEAR(score.precision, 0.6667, 1e-4);
  EXPECT_EQ(score.recall, 1);
  EXPECT_NEAR(score.f1, 0.8, 1e-12);
}

TEST(TableScoreTest, FencesMayBeMissing) {
  EXPECT_EQ(table_score("name\tprice\nPear\t2\napple\t1", kGold).f1, 1);
  EXPECT_EQ(table_score("```tsv\nname\tprice\nPear\t2\napple\t1", kGold).f1, 1);
  EXPECT_EQ(table_score("```\nname\tprice\nPear\t2\napple\t1\n```", kGold).f1, 1);
  EXPECT_EQ(table_score("```", kGold).f1, 0);
  EXPECT_EQ(table_score("```tsv\nname\tprice\nPear\t2\n```\napple\t1\n```", kGold).recall, 1);
}

TEST(TableScoreTest, RowsOfAnotherWidth) {
  // The last one was cut off; another one is there, but wrong.
  EXPECT_EQ(table_score("n\tp\nPear\t2\napple\t1\nPlu", kGold).f1, 1);
  EXPECT_NEAR(table_score("n\tp\nPear\t2\nPlum\napple\t1", kGold).precision, 2.0 / 3, 1e-12);
  EXPECT_EQ(table_score("n\tp\nx\nPear\t2", "n\tp\nN/A\tN/A\nz\t1\n").recall, 0.5);
}

TEST(TableScoreTest, QuotedCellsHoldTabsAndLineFeeds) {
  EXPECT_EQ(table_score("n\tp\n\"a\tb\nc \"\"d\"\"\"\t1", "n\tp\nbcd\t1").f1, 1);
  EXPECT_EQ(table_score("n\tp\n\"a\tb", kGold).f1, 0);
  EXPECT_EQ(table_score("", kGold).f1, 0);
  EXPECT_EQ(table_score("n\tp", kGold).f1, 0);
  EXPECT_THROW(table_score("", "n\tp"), InvalidArgument);
}

const std::vector<int64_t> kNumbers = {21, 16, 17, 26};

double countdown(const std::string& lines) {
  return countdown_score("search <Solution>\n" + lines + "\n</Solution>", kNumbers, 46);
}

TEST(CountdownScoreTest, PublishedExample) {
  EXPECT_EQ(countdown("21 + 16 = 37\n37 - 17 = 20\n26 + 20 = 46"), 1);
  EXPECT_EQ(countdown("21+16=37\n\n 37-17=20\n26+20=46"), 1);
}

TEST(CountdownScoreTest, EveryStepMustHold) {
  for (const char* lines :
       {"21 + 16 = 38\n38 - 17 = 21\n26 + 20 = 46",               // wrong sum
        "21 + 16 = 37\n37 - 17 = 20\n20 + 26 = 47",               // wrong result
        "21 + 25 = 46",                                           // number that is not there
        "21 + 16 = 37\n21 - 17 = 4\n26 + 20 = 46",                // used twice
        "26 + 20 = 46\n21 + 16 = 37\n37 - 17 = 20",               // order
        "21 + 16 = 37\n37 - 17 = 20\n26 + 20 = 46\n46 + 0 = 46",  // too many
        "21 + 16 = 37\n37 - 17 = 20\n26 + 20 = 46 yes", "21 + 16 = 37\n17 / 0 = 1", "", "x"})
    EXPECT_EQ(countdown(lines), 0) << lines;
  EXPECT_EQ(countdown_score("21 + 16 = 37", kNumbers, 46), 0);
  const std::vector<int64_t> two = {7, 2};
  EXPECT_EQ(countdown_score("<solution>7 / 2 = 3</solution>", two, 3), 0);
  EXPECT_EQ(countdown_score("<solution>2 - 7 = -5</solution>", two, -5), 1);
  EXPECT_EQ(countdown_score("<solution>7 * 99999999999999999999 = 1</solution>", two, 1), 0);
}

TEST(TaggedTextTest, FindsTheLastClosedPair) {
  EXPECT_EQ(last_tagged("<plan>a</plan> <PLAN>b</Plan> <plan>c", "plan"), "b");
  EXPECT_EQ(last_tagged("</plan> <plan>", "plan"), std::nullopt);
  EXPECT_EQ(last_tagged("<plan></plan>", "plan"), "");
}

TEST(RouteScoreTest, ExactAndLeadingLines) {
  const std::string gold = "a to b\nb to c\nc to d";
  EXPECT_EQ(route_score("\n" + gold + "  \n", gold).exact, 1);
  EXPECT_EQ(route_score(gold, gold).partial, 1);
  const RouteScore half = route_score("a to b\nb to x\nc to d", gold);
  EXPECT_EQ(half.exact, 0);
  EXPECT_NEAR(half.partial, 1.0 / 3, 1e-12);
  EXPECT_EQ(route_score("", gold).partial, 0);
  EXPECT_EQ(route_score(gold + "\nmore", gold).exact, 0);
}

constexpr const char* kPlan =
    "<plan>\n**Day 1-3:** Visit Oslo for 3 days.\n**Day 3:** Fly from Oslo to Rome.\n"
    "**Day 3-6:** Visit Rome.\n**Day 6:** Fly from Rome to Bern.\n**Day 6-10:** Visit Bern.\n"
    "</plan>";

TEST(TravelScoreTest, StaysCountBothFlightDays) {
  EXPECT_EQ(travel_score(kPlan, "Oslo**Rome**Bern", "3**4**5"), 1);
  EXPECT_EQ(travel_score(kPlan, "Oslo**Rome", "3**4"), 1);
  EXPECT_EQ(travel_score(kPlan, "Oslo**Rome**Bern", "3**4**4"), 0);
  EXPECT_EQ(travel_score(kPlan, "Rome**Oslo**Bern", "3**4**5"), 0);
  EXPECT_EQ(travel_score(kPlan, "Oslo**Rome**Bern**Riga", "3**4**5**1"), 0);
}

TEST(TravelScoreTest, PlansThatCannotBeReadScoreNothing) {
  for (const char* plan :
       {"", "Day 1-3 Day 3: from Oslo to Rome", "<plan>Day 3: from Oslo to Rome</plan>",
        "<plan>Day 1-3</plan>", "<plan>1-9999999999999 Day 99999999999: from A to B</plan>"})
    EXPECT_EQ(travel_score(plan, "Oslo", "3"), 0) << plan;
  EXPECT_THROW(travel_score(kPlan, "", ""), InvalidArgument);
  EXPECT_THROW(travel_score(kPlan, "Oslo**Rome", "3"), InvalidArgument);
  EXPECT_THROW(travel_score(kPlan, "Oslo", "x"), InvalidArgument);
}

TEST(LongprocScoresTest, TakeAnyText) {
  const std::string_view pieces[] = {
      "<plan>", "</plan>", "<solution>", "</solution>", "Day ", "1-2", "from ", "A", " to ",
      "\n",     "\t",      "\"",         "```tsv",      "```",  "21",  " + ",   "="};
  Random random(9);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (uint64_t n = random.below(25); n > 0; --n) text += pieces[random.below(std::size(pieces))];
    EXPECT_LE(table_score(text, kGold).f1, 1);
    EXPECT_EQ(countdown_score(text, kNumbers, 46), 0);
    EXPECT_LE(route_score(text, kGold).partial, 1);
    EXPECT_EQ(travel_score(text, "Oslo", "3"), 0);
  }
}

}  // namespace
}  // namespace limbeck
