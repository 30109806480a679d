#include "limbeck/text/pretokenize.h"

#include "limbeck/base/error.h"
#include "limbeck/text/regex_translate.h"
#include "limbeck/text/utf8.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using Pieces = std::vector<std::string>;

class Collector : public PieceSink {
 public:
  void take(std::string_view piece) override { pieces.emplace_back(piece); }
  Pieces pieces;
};

Pieces split(PreTokenizeStep step, std::string_view text, bool at_start = true) {
  std::vector<PreTokenizeStep> steps;
  steps.emplace_back(std::move(step));
  Collector collector;
  PreTokenizer(std::move(steps)).split({text, at_start}, collector);
  return std::move(collector.pieces);
}

Pieces split_dashes(SplitBehaviour behaviour, bool invert = false) {
  return split(SplitStep{TextPattern::literal("-", "test"), behaviour, invert}, "a-b--c-");
}

TEST(PreTokenizerTest, SplitBehavioursPlaceTheSeparators) {
  EXPECT_EQ(split_dashes(SplitBehaviour::isolated), (Pieces{"a", "-", "b", "-", "-", "c", "-"}));
  EXPECT_EQ(split_dashes(SplitBehaviour::removed), (Pieces{"a", "b", "c"}));
  EXPECT_EQ(split_dashes(SplitBehaviour::merged_with_previous), (Pieces{"a-", "b-", "-", "c-"}));
  EXPECT_EQ(split_dashes(SplitBehaviour::merged_with_next), (Pieces{"a", "-b", "-", "-c", "-"}));
  EXPECT_EQ(split_dashes(SplitBehaviour::contiguous), (Pieces{"a", "-", "b", "--", "c", "-"}));
  EXPECT_EQ(split_dashes(SplitBehaviour::removed, true), (Pieces{"-", "-", "-", "-"}));
}

TEST(PreTokenizerTest, Gpt2RegexKeepsLeadingSpaces) {
  const ByteLevelStep step{false, {TextPattern::regex(std::string(kGpt2Regex), "test")}};
  EXPECT_EQ(split(step, "I'll  go 12\n"), (Pieces{"I", "'ll", " ", " go", " 12", "\n"}));
}

TEST(PreTokenizerTest, MongolianVowelSeparatorIsNoSpace) {
  const ByteLevelStep step{false, {TextPattern::regex(std::string(kGpt2Regex), "test")}};
  EXPECT_EQ(split(step, "a\xE1\xA0\x8E b"), (Pieces{"a", "\xE1\xA0\x8E", " b"}));
}

TEST(PreTokenizerTest, DigitsSplitAloneOrInRuns) {
  EXPECT_EQ(split(DigitsStep{true},
                  "a12\xC2\xBD"
                  "b"),
            (Pieces{"a", "1", "2", "\xC2\xBD", "b"}));
  EXPECT_EQ(split(DigitsStep{false},
                  "a12\xC2\xBD"
                  "b"),
            (Pieces{"a", "12\xC2\xBD", "b"}));
}

TEST(PreTokenizerTest, MetaspacePrependsAsTheSchemeSays) {
  using Prepend = MetaspaceStep::Prepend;
  EXPECT_EQ(split(MetaspaceStep{"_", Prepend::always, true}, "a b"), (Pieces{"_a", "_b"}));
  EXPECT_EQ(split(MetaspaceStep{"_", Prepend::first, true}, "a b", false), (Pieces{"a", "_b"}));
  EXPECT_EQ(split(MetaspaceStep{"_", Prepend::never, false}, "a b"), (Pieces{"a_b"}));
}

TEST(PreTokenizerTest, EmptyMatchesOnlyCut) {
  EXPECT_EQ(split(SplitStep{TextPattern::regex("(?=x)", "test"), SplitBehaviour::isolated, false},
                  "axbx"),
            (Pieces{"a", "xb", "x"}));
}

TEST(PreTokenizerTest, LongRunsDoNotExhaustTheMatcher) {
  const ByteLevelStep step{false, {TextPattern::regex(std::string(kGpt2Regex), "test")}};
  EXPECT_EQ(split(step, std::string(2'000'000, ' ') + "x").size(), 2u);
  EXPECT_EQ(split(step, std::string(2'000'000, 'x')).size(), 1u);
}

TEST(PreTokenizerTest, HostileRegexesEndWithAnError) {
  const SplitStep step{TextPattern::regex("(?:a|aa)+(?:b|cd)", "test"), SplitBehaviour::isolated,
                       false};
  EXPECT_THROW(split(step, std::string(5'000, 'a')), ResourceError);
}

TEST(RegexTranslateTest, NamesWhatItRefuses) {
  for (const char* pattern :
       {R"(\h)", R"(\b)", R"(\G)", R"(\1)", R"([\W])", "[a&&b]", "[[:alpha:]]", "(?m:a)",
        "(?<name>a)", "(*FAIL)", "a{1,2}+", R"(\xFF)", R"(\u12)", R"(\p{L)", "[a"}) {
    EXPECT_THROW(pcre2_pattern(pattern, "test"), FormatError) << pattern;
  }
}

TEST(RegexTranslateTest, RewritesWhatPcre2ReadsDifferently) {
  EXPECT_EQ(pcre2_pattern(R"(\u00e9\v)", "test"), R"(\x{00e9}\x{B})");
  EXPECT_EQ(pcre2_pattern(R"(\p{Han}\p{Lu}\p{^L})", "test"), R"(\p{sc:Han}\p{Lu}\P{L})");
  EXPECT_EQ(pcre2_pattern("a{,3}b{2}c{", "test"), "a{0,3}b{2}c\\{");
}

TEST(RegexTranslateTest, SpacesAreTheWhiteSpaceProperty) {
  const TextPattern space = TextPattern::regex(R"(\s)", "test"),
                    other = TextPattern::regex(R"([\S])", "test");
  TextRange match;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    ASSERT_EQ(space.find(text, 0, match), is_unicode_space(code)) << static_cast<uint32_t>(code);
    ASSERT_NE(other.find(text, 0, match), is_unicode_space(code)) << static_cast<uint32_t>(code);
  }
}

}  // namespace
}  // namespace limbeck
