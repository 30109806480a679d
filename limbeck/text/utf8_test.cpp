#include "limbeck/text/utf8.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(Utf8Test, EveryCharacterReadsBack) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    ASSERT_EQ(find_invalid_utf8(text), std::nullopt) << static_cast<uint32_t>(code);
    ASSERT_EQ(read_utf8(text, 0).code, code);
    ASSERT_EQ(read_utf8(text, 0).length, text.size());
    ASSERT_EQ(unfinished_utf8_tail(text), 0u);
    ASSERT_EQ(unfinished_utf8_tail(std::string_view(text).substr(0, text.size() - 1)),
              text.size() - 1);
  }
}

TEST(Utf8Test, FindsTheFirstInvalidByte) {
  EXPECT_EQ(find_invalid_utf8("abcdefgh\xC0\x80"), 8u);  // overlong
  EXPECT_EQ(find_invalid_utf8("\xED\xA0\x80"), 0u);      // surrogate
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("a\xE2\x82"), 1u);         // cut short
  EXPECT_EQ(find_invalid_utf8("\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("\xE0\x9F\xBF"), 0u);
}

TEST(Utf8Test, ReplacesOneMaximalPartAtATime) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"
                                 "a"),
            mark + "a");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), mark + mark + mark);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x99"), mark);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x80"), mark + mark);
}

}  // namespace
}  // namespace limbeck
