#include "limbeck/eval/metrics/rouge.h"

#include "limbeck/base/random.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace limbeck {
namespace {

TEST(RougeTest, SetOverlapOfPublishedExamples) {
  EXPECT_NEAR(rouge_l_set("the cat sat on the mat", "the cat is on the mat"), 0.8, 1e-6);
  EXPECT_NEAR(rouge_l_set("a b. c d.", "c d. a b."), 1.0, 1e-6);
  EXPECT_NEAR(rouge_l_set("a a a a", "a b"), 2.0 / 3, 1e-6);
  EXPECT_NEAR(rouge_l_set("A b.", "A b. "), 0.8, 1e-6);
  EXPECT_NEAR(rouge_l_set("the dog", "the cat sat"), 0.4, 1e-6);
  EXPECT_EQ(rouge_l_set(".", "a"), 0);
  EXPECT_EQ(rouge_l_set("", "a"), 0);
  EXPECT_EQ(rouge_l_set("a", "..."), 0);
  EXPECT_EQ(rouge_l_set("x", "X"), 0);
}

TEST(RougeTest, PlainOverlapStemsLongWords) {
  EXPECT_NEAR(rouge_l("The cat sat on the mat.", "the cat is on a mat"), 2.0 / 3, 1e-12);
  EXPECT_EQ(rouge_l("Running quickly!", "runs   quickly"), 1);
  EXPECT_EQ(rouge_l("runs", "run"), 1);
  EXPECT_EQ(rouge_l("as", "a"), 0);  // too short for a stem
  EXPECT_EQ(rouge_l("\u00e9t\u00e9", "t"), 1);
  EXPECT_EQ(rouge_l("", "x"), 0);
  EXPECT_EQ(rouge_l("!?", "x"), 0);
}

/// Subsequences by the full table and the walk as it is published.
std::set<std::string> slow_common(const std::vector<std::string>& x,
                                  const std::vector<std::string>& y) {
  std::vector<std::vector<int>> t(x.size() + 1, std::vector<int>(y.size() + 1, 0));
  for (size_t i = 1; i <= x.size(); ++i)
    for (size_t j = 1; j <= y.size(); ++j)
      t[i][j] = x[i - 1] == y[j - 1] ? t[i - 1][j - 1] + 1 : std::max(t[i - 1][j], t[i][j - 1]);
  std::set<std::string> out;
  size_t i = x.size(), j = y.size();
  while (i > 0 && j > 0) {
    if (x[i - 1] == y[j - 1]) {
      out.insert(x[i - 1]);
      --i;
      --j;
    } else if (t[i - 1][j] > t[i][j - 1]) {
      --i;
    } else {
      --j;
    }
  }
  return out;
}

TEST(RougeTest, OfOnePieceAgreesWithTheFullTable) {
  Random random(11);
  const auto draw = [&] {
    std::string text;
    for (uint64_t n = 1 + random.below(12); n > 0; --n)
      text += std::string(1, static_cast<char>('a' + random.below(5))) + "  ";
    return text;
  };
  for (int i = 0; i < 500; ++i) {
    const std::string a = draw(), b = draw();
    const auto x = text_words(a), y = text_words(b);
    const auto common = static_cast<double>(slow_common(y, x).size());
    const double p = common / static_cast<double>(std::set(x.begin(), x.end()).size()),
                 r = common / static_cast<double>(std::set(y.begin(), y.end()).size());
    EXPECT_NEAR(rouge_l_set(a, b), 2 * p * r / (p + r + 1e-8), 1e-12) << a << "|" << b;
    EXPECT_EQ(rouge_l(a, b), rouge_l(b, a));
  }
}

}  // namespace
}  // namespace limbeck
