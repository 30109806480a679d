#include "limbeck/eval/report/escape.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";

TEST(EscapeTest, ValidTextsComeBackAsTheyAre) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF";
  EXPECT_EQ(valid_utf8(text), text);
  EXPECT_EQ(count_characters(text), 5);
}

TEST(EscapeTest, OverlongFormsSurrogatesAndCutSequencesAreReplacedByteByByte) {
  EXPECT_EQ(valid_utf8("\xC0\xAF"), std::string(kBad) + kBad);
  EXPECT_EQ(valid_utf8("\xE0\x80\xAF"), std::string(kBad) + kBad + kBad);
  EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80").size(), 12U);
  EXPECT_EQ(valid_utf8("\xF0\x9F\x98"), std::string(kBad) + kBad + kBad);
  EXPECT_EQ(valid_utf8("\xC3"), kBad);
}

TEST(EscapeTest, HtmlKeepsNoTagQuoteOrControlCharacter) {
  EXPECT_EQ(escape_html("<script>alert(\"1\" & '2')</script>\x01\n"),
            std::string("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;") +
                kBad + "\n");
  EXPECT_EQ(escape_html(std::string_view("\0\x7F\xC2\x85", 4)), std::string(kBad) + kBad + kBad);
}

TEST(EscapeTest, MarkdownCellsStayOneLineWithoutFormat) {
  EXPECT_EQ(escape_markdown("a|b\n*c* <i>"), "a\\|b \\*c\\* &lt;i&gt;");
}

TEST(EscapeTest, ClipsAtCharactersNotBytes) {
  EXPECT_EQ(clip_text("\xC3\xA9\xC3\xA9\xC3\xA9", 2), "\xC3\xA9\xC3\xA9\xE2\x80\xA6");
  EXPECT_EQ(clip_text("ab", 2), "ab");
}

}  // namespace
}  // namespace limbeck
