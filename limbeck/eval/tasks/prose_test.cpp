#include "limbeck/eval/tasks/prose.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <map>

namespace limbeck {
namespace {

using Strings = std::vector<std::string>;

TEST(ProseTest, SplitsSentencesAtStopAndCapital) {
  const Prose prose(
      "He  left.\n\"Who?\" She asked!\tMr. J. Smith sat... down at 3.14 St. Ives. (Yes.) "
      "\xE2\x80\x9CNo.\xE2\x80\x9D he said. End");
  EXPECT_EQ(
      prose.excerpt(0, prose.words()),
      (Strings{"He left.", "\"Who?\"", "She asked!", "Mr. J. Smith sat... down at 3.14 St. Ives.",
               "(Yes.)", "\xE2\x80\x9CNo.\xE2\x80\x9D he said.", "End"}));
}

TEST(ProseTest, ExcerptsGoOnAtTheBeginning) {
  const Prose prose(" One two. Three four. ");
  EXPECT_EQ(prose.words(), 4);
  EXPECT_EQ(prose.excerpt(3, 3), (Strings{"four.", "One two."}));
  EXPECT_EQ(prose.excerpt(1, 2), (Strings{"two.", "Three"}));
  EXPECT_TRUE(prose.excerpt(1, 0).empty());
  EXPECT_EQ(join_sentences(prose.excerpt(0, 4)), "One two. Three four.");
}

TEST(ProseTest, DrawsEverySentenceEquallyOften) {
  const Prose prose("A b c d e f g hh. Two. Three is it.");
  std::map<int64_t, int> counts;
  Random random(1);
  for (int i = 0; i < 3000; ++i) ++counts[prose.draw_sentence(random)];
  ASSERT_EQ(counts.size(), 3U);
  for (const auto& [word, count] : counts) EXPECT_NEAR(count, 1000, 100) << word;
  EXPECT_TRUE(counts.contains(8) && counts.contains(9));
}

TEST(ProseTest, HashDoesNotDependOnBlanks) {
  EXPECT_EQ(Prose("a  b\nc").hash(), Prose("\ta b c\r\n").hash());
  EXPECT_NE(Prose("a b c").hash(), Prose("a bc").hash());
}

TEST(ProseTest, RefusesWhatIsNoText) {
  EXPECT_EQ(test::error_text<InvalidArgument>([] { Prose(" \n"); }),
            "[prose] text must have words; found none");
  EXPECT_EQ(test::error_text<InvalidArgument>([] { Prose("ab\xff"); }),
            "[prose] text must be valid UTF-8; found a bad byte at 2");
}

}  // namespace
}  // namespace limbeck
