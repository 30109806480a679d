#include "limbeck/eval/metrics/code_similarity.h"

#include "limbeck/base/random.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

TEST(CodeSimilarityTest, TakesTheFirstLineThatIsCode) {
  EXPECT_EQ(code_line("\n\nreturn x + 1\nfoo"), "return x + 1");
  EXPECT_EQ(code_line("```python\n# note\n// note\n  y = 2\nz"), "  y = 2");
  EXPECT_EQ(code_line("```\n#\n"), "");  // the last line is empty and first without a mark
  EXPECT_EQ(code_line("# only"), "");
  EXPECT_EQ(code_line(""), "");
}

TEST(CodeSimilarityTest, PublishedExamples) {
  EXPECT_EQ(code_sim("\n\nreturn x + 1\nfoo", "return x + 1"), 1);
  EXPECT_DOUBLE_EQ(code_sim("```\nreturn x+1\n```", "return x + 1"), 0.91);
  EXPECT_DOUBLE_EQ(code_sim("    return x", "    return y"), 0.92);
  EXPECT_DOUBLE_EQ(code_sim("abcd", "abce"), 0.75);
  EXPECT_DOUBLE_EQ(code_sim("int a=0;", "int b = 0;"), 0.78);
  EXPECT_EQ(code_sim("", "x"), 0);
  EXPECT_EQ(code_sim("x", ""), 0);
  EXPECT_EQ(code_sim("", ""), 0);
}

TEST(CodeSimilarityTest, FrequentCharactersOfLongGoldsBeginNoBlock) {
  const std::string a = repeat("qwertyuiop", 5);
  EXPECT_EQ(code_sim(a, std::string(150, 'z') + a), 0);
  // One character less, and the rule is off.
  EXPECT_DOUBLE_EQ(code_sim(a, std::string(149, 'z') + a), 0.4);
  // The begin of the range extends, although no block was found.
  EXPECT_DOUBLE_EQ(code_sim(repeat("abcdefghij", 10), repeat("abcdefghij", 20)), 0.67);
}

TEST(CodeSimilarityTest, CountsCharactersNotBytesAndRoundsTiesToEven) {
  EXPECT_DOUBLE_EQ(code_sim("\u00e4b", "\u00f6b"), 0.5);
  // 2 * 1 / 16 = 12.5 %.
  EXPECT_DOUBLE_EQ(code_sim("x", "xabcdefghijklmn"), 0.12);
  // 2 * 3 / 16 = 37.5 %.
  EXPECT_DOUBLE_EQ(code_sim("xyz", "xyzabcdefghij"), 0.38);
}

/// By the definition: every pair of begins, the rule about frequent characters as a predicate.
int64_t slow_matching(std::u32string_view a, std::u32string_view b, std::u32string_view whole) {
  const auto frequent = [&](char32_t c) {
    return whole.size() >= 200 &&
           static_cast<size_t>(std::count(whole.begin(), whole.end(), c)) > whole.size() / 100 + 1;
  };
  size_t at_a = 0, at_b = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j) {
      size_t n = 0;
      while (i + n < a.size() && j + n < b.size() && a[i + n] == b[j + n] && !frequent(b[j + n]))
        ++n;
      if (n > size) at_a = i, at_b = j, size = n;
    }
  while (at_a > 0 && at_b > 0 && a[at_a - 1] == b[at_b - 1]) --at_a, --at_b, ++size;
  while (at_a + size < a.size() && at_b + size < b.size() && a[at_a + size] == b[at_b + size])
    ++size;
  if (size == 0) return 0;
  return static_cast<int64_t>(size) + slow_matching(a.substr(0, at_a), b.substr(0, at_b), whole) +
         slow_matching(a.substr(at_a + size), b.substr(at_b + size), whole);
}

TEST(CodeSimilarityTest, AgreesWithTheDefinitionOnRandomTexts) {
  Random random(5);
  const auto draw = [&](uint64_t size, uint64_t letters) {
    std::u32string text;
    for (uint64_t n = 0; n < size; ++n)
      // Products make some letters rare, so that both kinds occur in long texts.
      text += static_cast<char32_t>(U'a' + random.below(letters) * random.below(letters));
    return text;
  };
  for (int i = 0; i < 120; ++i) {
    const std::u32string a = draw(random.below(30), 3), b = draw(random.below(30), 3);
    EXPECT_EQ(matching_characters(a, b), slow_matching(a, b, b));
  }
  for (const uint64_t size : {199, 200, 201, 230}) {
    const std::u32string a = draw(60, 9), b = draw(size, 9);
    EXPECT_EQ(matching_characters(a, b), slow_matching(a, b, b)) << size;
  }
}

}  // namespace
}  // namespace limbeck
