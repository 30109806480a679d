#include "limbeck/eval/metrics/porter.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <utility>

namespace limbeck {
namespace {

TEST(PorterTest, StemsWellKnownWords) {
  // Words of the paper's examples, carried through all steps.
  const std::pair<const char*, const char*> pairs[] = {{"caresses", "caress"},
                                                       {"ponies", "poni"},
                                                       {"ties", "ti"},
                                                       {"caress", "caress"},
                                                       {"cats", "cat"},
                                                       {"feed", "feed"},
                                                       {"agreed", "agre"},
                                                       {"plastered", "plaster"},
                                                       {"bled", "bled"},
                                                       {"motoring", "motor"},
                                                       {"sing", "sing"},
                                                       {"conflated", "conflat"},
                                                       {"troubled", "troubl"},
                                                       {"sized", "size"},
                                                       {"hopping", "hop"},
                                                       {"tanned", "tan"},
                                                       {"falling", "fall"},
                                                       {"hissing", "hiss"},
                                                       {"fizzed", "fizz"},
                                                       {"failing", "fail"},
                                                       {"filing", "file"},
                                                       {"happy", "happi"},
                                                       {"sky", "sky"},
                                                       {"relational", "relat"},
                                                       {"conditional", "condit"},
                                                       {"rational", "ration"},
                                                       {"digitizer", "digit"},
                                                       {"operator", "oper"},
                                                       {"feudalism", "feudal"},
                                                       {"decisiveness", "decis"},
                                                       {"hopefulness", "hope"},
                                                       {"callousness", "callous"},
                                                       {"vietnamization", "vietnam"},
                                                       {"predication", "predic"},
                                                       {"triplicate", "triplic"},
                                                       {"formative", "form"},
                                                       {"formalize", "formal"},
                                                       {"electrical", "electr"},
                                                       {"hopeful", "hope"},
                                                       {"goodness", "good"},
                                                       {"revival", "reviv"},
                                                       {"allowance", "allow"},
                                                       {"inference", "infer"},
                                                       {"airliner", "airlin"},
                                                       {"gyroscopic", "gyroscop"},
                                                       {"adjustable", "adjust"},
                                                       {"defensible", "defens"},
                                                       {"irritant", "irrit"},
                                                       {"replacement", "replac"},
                                                       {"adjustment", "adjust"},
                                                       {"dependent", "depend"},
                                                       {"adoption", "adopt"},
                                                       {"communism", "commun"},
                                                       {"activate", "activ"},
                                                       {"homologous", "homolog"},
                                                       {"effective", "effect"},
                                                       {"bowdlerize", "bowdler"},
                                                       {"probate", "probat"},
                                                       {"rate", "rate"},
                                                       {"cease", "ceas"},
                                                       {"controlling", "control"},
                                                       {"roll", "roll"},
                                                       {"generalizations", "gener"},
                                                       {"oscillators", "oscil"},
                                                       {"possibly", "possibl"},
                                                       {"archaeology", "archaeolog"},
                                                       {"running", "run"},
                                                       {"university", "univers"},
                                                       {"universe", "univers"},
                                                       {"toys", "toi"}};
  for (const auto& [word, stem] : pairs) EXPECT_EQ(porter_stem(word), stem) << word;
}

TEST(PorterTest, ShortWordsAndDigitsStand) {
  for (const char* word : {"", "a", "is", "as", "2024", "3rd"}) EXPECT_EQ(porter_stem(word), word);
  EXPECT_EQ(porter_stem("1990s"), "1990");
}

TEST(PorterTest, NeverGrowsAWordAndTakesAnyLetters) {
  Random random(1);
  const std::string letters = "aeiouysldtbzngc";
  for (int i = 0; i < 5000; ++i) {
    std::string word;
    for (uint64_t n = 1 + random.below(9); n > 0; --n)
      word += letters[random.below(letters.size())];
    EXPECT_LE(porter_stem(word).size(), word.size()) << word;
    EXPECT_FALSE(porter_stem(word).empty() && word != "s") << word;
  }
  EXPECT_LE(porter_stem(std::string(100'000, 'y')).size(), 100'000U);
}

}  // namespace
}  // namespace limbeck
