#include "limbeck/eval/metrics/qa_scores.h"

#include "limbeck/base/random.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <gtest/gtest.h>

#include <vector>

namespace limbeck {
namespace {

using Texts = std::vector<std::string>;

TEST(TextNormTest, LowersDeletesPunctuationAndArticlesAndJoinsWords) {
  EXPECT_EQ(text_norm("  The Cat,\t sat. "), "cat sat");
  EXPECT_EQ(text_norm("It's the U.S. Navy"), "its us navy");
  EXPECT_EQ(text_norm("a an the THE"), "");
  EXPECT_EQ(text_norm("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), "");
  EXPECT_EQ(text_norm("another theatre an-a"), "another theatre ana");
}

TEST(TextNormTest, KnowsLettersAndBlanksBeyondAscii) {
  EXPECT_EQ(text_norm("\u00c9COLE\u00a0\u00dcber"), "\u00e9cole \u00fcber");
  // A dash that is no ASCII punctuation parts words; an accented letter does not.
  EXPECT_EQ(text_norm("a\u2013b \u00e0the"), "\u2013b \u00e0the");
  EXPECT_EQ(text_lower("\u0130"), "i\u0307");
  EXPECT_EQ(text_words("x\u3000y\x1fz"), (Texts{"x", "y", "z"}));
  EXPECT_EQ(text_strip("\u2003 a b \n"), "a b");
}

TEST(TextNormTest, TakesAnyBytes) {
  EXPECT_EQ(text_norm("\xff The \xc3"), "\ufffd \ufffd");
  EXPECT_EQ(text_code_points("a\xf0\x9f\x98\x80"), U"a\U0001f600");
  EXPECT_EQ(text_lines("a\n\nb\n"), (Texts{"a", "", "b", ""}));
  EXPECT_EQ(text_lines(""), Texts{""});
}

TEST(QaScoresTest, F1OfPublishedExamples) {
  EXPECT_DOUBLE_EQ(qa_f1("The cat sat.", "a cat sat down"), 0.8);
  EXPECT_DOUBLE_EQ(qa_f1("It's the U.S. Navy", "us navy"), 0.8);
  EXPECT_NEAR(qa_f1("in 1,997", "1997"), 2.0 / 3, 1e-12);
  EXPECT_NEAR(qa_f1("cat cat dog", "cat dog dog"), 2.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(qa_f1("yes it is", "yes"), 0.5);
  EXPECT_EQ(qa_f1("", "x"), 0);
  EXPECT_EQ(qa_f1("a an the", "the"), 0);
}

TEST(QaScoresTest, VerdictsMustAgree) {
  EXPECT_EQ(f1_yn("yes it is", "yes"), 0);
  EXPECT_EQ(f1_yn("yes", "no"), 0);
  EXPECT_EQ(f1_yn("noanswer", "no answer"), 0);
  EXPECT_EQ(f1_yn("Yes.", "yes"), 1);
  EXPECT_DOUBLE_EQ(f1_yn("The cat sat.", "a cat sat down"), 0.8);
}

TEST(QaScoresTest, EqualityAndContainment) {
  EXPECT_EQ(em("The Eiffel Tower!", "eiffel tower"), 1);
  EXPECT_EQ(em("Eiffel", "eiffel tower"), 0);
  EXPECT_EQ(subem("It is the Eiffel-Tower, in Paris", "eiffeltower in"), 1);
  EXPECT_EQ(subem("Paris", "in paris"), 0);
  EXPECT_EQ(contain("abc-DEF.", "c-d"), 1);
  EXPECT_EQ(contain("abc DEF", "c-d"), 0);
}

TEST(QaScoresTest, TheBestGoldCounts) {
  const Texts golds = {"dog", "a cat sat down"};
  EXPECT_DOUBLE_EQ(best_over_golds(qa_f1, "The cat sat.", golds), 0.8);
  EXPECT_EQ(best_over_golds(em, "x", Texts{}), 0);
}

TEST(QaScoresTest, F1IsSymmetricAndOneOnlyForEqualMultisets) {
  Random random(7);
  const auto draw = [&] {
    std::string text;
    for (uint64_t n = random.below(6); n > 0; --n)
      text += std::string(1, static_cast<char>('b' + random.below(4))) + " ";
    return text;
  };
  for (int i = 0; i < 500; ++i) {
    const std::string a = draw(), b = draw();
    EXPECT_DOUBLE_EQ(qa_f1(a, b), qa_f1(b, a)) << a << "|" << b;
    Texts x = text_words(a), y = text_words(b);
    std::sort(x.begin(), x.end());
    std::sort(y.begin(), y.end());
    EXPECT_EQ(qa_f1(a, b) == 1, x == y && !x.empty()) << a << "|" << b;
  }
}

TEST(RulerScoresTest, FractionAndAnyOfTheOutputs) {
  const Texts outputs = {"12", "34"};
  EXPECT_EQ(ruler_all("..12..", outputs), 0.5);
  EXPECT_EQ(ruler_part("..12..", outputs), 1);
  EXPECT_EQ(ruler_all("", outputs), 0);
  EXPECT_EQ(ruler_part("", outputs), 0);
  EXPECT_EQ(ruler_all("Obey-Djinn", Texts{"obey-djinn"}), 1);
  EXPECT_EQ(ruler_all("x", Texts{}), 0);
}

TEST(RulerScoresTest, ControlCharactersPartAnswersAsLineFeedsDo) {
  EXPECT_EQ(ruler_clean(std::string(" \x01 a\tb\x00 c\x1f ", 11)), "a\nb\n c");
  EXPECT_EQ(ruler_part("1\x02"
                       "2",
                       Texts{"12"}),
            0);
  EXPECT_EQ(ruler_part("1\x02"
                       "2",
                       Texts{"1\n2"}),
            1);
}

}  // namespace
}  // namespace limbeck
