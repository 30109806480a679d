#include "limbeck/text/added_tokens.h"

#include "limbeck/text/normalize.h"
#include "limbeck/text/tokenizer_samples.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using Ids = std::vector<TokenId>;

// Shows the cut as text: tokens in brackets by id, stretches between bars.
std::string cut(const std::vector<AddedToken>& tokens, std::string_view text,
                std::vector<TextRegion> regions = {}) {
  const AddedTokens added(tokens, Normalizer(), "test");
  if (regions.empty()) regions = {{text.size(), true}};
  std::vector<Segment> segments;
  added.raw().cut(text, regions, segments);
  std::string out;
  for (const Segment& segment : segments) {
    const std::string_view part = text.substr(segment.begin, segment.end - segment.begin);
    out += segment.id < 0 ? fmt::format("|{}|", part) : fmt::format("[{}:{}]", segment.id, part);
  }
  return out;
}

AddedToken token(TokenId id, std::string content) {
  AddedToken result;
  result.id = id;
  result.content = std::move(content);
  return result;
}

TEST(AddedTokensTest, LeftmostThenLongest) {
  EXPECT_EQ(cut({token(1, "ab"), token(2, "abc"), token(3, "bcd")}, "xabcd"), "|x|[2:abc]|d|");
}

TEST(AddedTokensTest, SingleWordsStandAlone) {
  AddedToken word = token(1, "word");
  word.single_word = true;
  EXPECT_EQ(cut({word}, "word words _word \xC3\xA9word word."),
            "[1:word]| words _word \xC3\xA9word |[1:word]|.|");
}

TEST(AddedTokensTest, StripsTakeTheSpaceAround) {
  AddedToken both = token(1, "<m>");
  both.lstrip = both.rstrip = true;
  EXPECT_EQ(cut({both}, "a \xE2\x80\x83<m>\n <m>b"), "|a|[1: \xE2\x80\x83<m>\n ][1:<m>]|b|");
}

TEST(AddedTokensTest, SpecialTokensNeedTheirRegion) {
  AddedToken special = token(1, "<s>");
  special.special = true;
  const std::vector<AddedToken> tokens = {special, token(2, "s>")};
  EXPECT_EQ(cut(tokens, "<s><s>", {{3, false}, {6, true}}), "|<s>|[1:<s>]");
  EXPECT_EQ(cut(tokens, "<s>", {{2, false}, {3, true}}), "|<|[2:s>]");
}

TEST(AddedTokensTest, NormalizedTokensMatchNormalizedText) {
  nlohmann::json json = test::sample_json();
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"][0] = {
      {"id", 261}, {"content", "e\xCC\x81"}, {"special", true}, {"normalized", true}};
  const Tokenizer tokenizer = test::load(json);
  EXPECT_EQ(tokenizer.encode("\xC3\xA9"
                             "e\xCC\x81",
                             {.parse_special = true}),
            (Ids{261, 261}));
  EXPECT_EQ(tokenizer.encode("\xC3\xA9").size(), 2u);
  const std::vector<TextPart> parts = {{"\xC3\xA9", false}, {"\xC3\xA9", true}};
  EXPECT_EQ(tokenizer.encode(parts), (Ids{0xC3, 0xA9, 261}));
}

TEST(NormalizerTest, ComposesAndOrdersMarks) {
  EXPECT_EQ(nfc("abc"), "abc");
  EXPECT_EQ(nfc("e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(nfc("xe\xCC\x81\xCC\xA3y"), "x\xE1\xBA\xB9\xCC\x81y");         // dot below comes first
  EXPECT_EQ(nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "\xEA\xB0\x81");  // Hangul
}

TEST(NormalizerTest, LongRunsOfMarksTakeNoQuadraticTime) {
  std::string text = "a";
  for (int i = 0; i < 300'000; ++i) text += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3";
  EXPECT_EQ(nfc(text).size(), text.size());
}

}  // namespace
}  // namespace limbeck
