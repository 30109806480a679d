#include "limbeck/eval/metrics/helmet_scores.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <vector>

namespace limbeck {
namespace {

using Ranking = std::map<std::string, int64_t>;
const std::map<std::string, double> kLabels = {{"1", 0}, {"2", 1}, {"3", 3}};

double ndcg(std::string_view output) { return ndcg_at_10(parse_ranking(output), kLabels); }

TEST(HelmetScoresTest, ParsesPublishedExamples) {
  EXPECT_EQ(helmet_parse("Paris\nQ"), "Paris");
  EXPECT_EQ(helmet_parse("So the ANSWER: Answer: Paris.\nx"), "Paris.");
  EXPECT_EQ(helmet_parse("\nParis"), "");
  EXPECT_EQ(helmet_parse("x Answer: a\nAnswer: b"), "a");
  EXPECT_EQ(helmet_parse(""), "");
}

TEST(HelmetScoresTest, ParsesBehindOtherPrefixes) {
  EXPECT_EQ(helmet_parse("Label: 12 \nlabel: 3", "label:"), "12");
  EXPECT_EQ(helmet_parse("The Corresponding Value:\n7", "corresponding value:"), "");
}

TEST(HelmetScoresTest, TheBetterOfRawAndParsedCounts) {
  const std::vector<std::string> golds = {"Paris"};
  EXPECT_EQ(helmet_best(em, "Answer: Paris\nQ", "Paris", golds), 1);
  EXPECT_EQ(helmet_best(subem, "It is\nParis", "It is", golds), 1);
  EXPECT_EQ(helmet_best(em, "Rome", "Rome", golds), 0);
}

TEST(HelmetScoresTest, ChoicesByLetterOrOption) {
  EXPECT_EQ(helmet_choice("B", "B", 'B', "the dog"), 1);
  EXPECT_EQ(helmet_choice("b.", "b.", 'B', "the dog"), 1);
  EXPECT_EQ(helmet_choice("I say b. The dog it is", "", 'B', "the dog"), 1);
  EXPECT_EQ(helmet_choice("B or C", "B or C", 'B', "the dog"), 0);
  EXPECT_EQ(helmet_choice("the dog", "the dog", 'B', "the dog"), 0);
}

TEST(HelmetScoresTest, RankingsOfPublishedExamples) {
  EXPECT_EQ(parse_ranking("Ranking: [ID: 3] > [ID: 1] > ID2 > 3"),
            (Ranking{{"3", 4}, {"1", 3}, {"2", 2}}));
  EXPECT_NEAR(ndcg("ID3 > ID1 > ID2"), 0.963940, 1e-6);
  EXPECT_NEAR(ndcg("1 > 2 > 3"), 0.586883, 1e-6);
  EXPECT_NEAR(ndcg("2"), 0.275412, 1e-6);
  EXPECT_EQ(ndcg("no idea"), 0);
}

TEST(HelmetScoresTest, TakesTheLongestRunAndUnknownIdsTakeRanks) {
  EXPECT_EQ(parse_ranking("In 1999: 3 > 2 > and 5"), (Ranking{{"3", 2}, {"2", 1}}));
  EXPECT_EQ(parse_ranking("1>2"), (Ranking{{"1", 2}, {"2", 1}}));
  EXPECT_TRUE(parse_ranking("> > id").empty());
  EXPECT_LT(ndcg("9 > 3 > 2 > 1"), ndcg("3 > 2 > 1"));
  EXPECT_EQ(ndcg("3 > 2"), 1);
  EXPECT_EQ(ndcg_at_10({{"1", 1}}, {{"1", 0}}), 0);
  EXPECT_EQ(ndcg_at_10({}, {}), 0);
}

TEST(HelmetScoresTest, PlacesBehindTheTenthGainNothing) {
  std::map<std::string, double> labels = {{"11", 1}};
  EXPECT_EQ(ndcg_at_10(parse_ranking("1>2>3>4>5>6>7>8>9>10>11"), labels), 0);
  EXPECT_GT(ndcg_at_10(parse_ranking("1>2>3>4>5>6>7>8>9>11"), labels), 0);
}

TEST(HelmetScoresTest, RankingsTakeAnyText) {
  const std::string_view pieces[] = {"1", "23", ">", " ", "id", "[", "]", ":", "x", "\n", "\xff"};
  Random random(4);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (uint64_t n = random.below(20); n > 0; --n) text += pieces[random.below(std::size(pieces))];
    const double score = ndcg(text);
    EXPECT_TRUE(score >= 0 && score <= 1) << text;
  }
}

}  // namespace
}  // namespace limbeck
