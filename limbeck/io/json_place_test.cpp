#include "limbeck/io/json_place.h"

#include "limbeck/base/random.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

TEST(JsonPlaceTest, FindsMembersAndItems) {
  const std::string_view text = R"(
{ "a": 1, "b" : [
  -2.5e3, "]},\"[", {"c":
    {"d": null
  }}, [[], [3,
  4]] ],
  "e": true }
)";
  EXPECT_EQ(json_line_of(text, ""), 2);
  EXPECT_EQ(json_line_of(text, "a"), 2);
  EXPECT_EQ(json_line_of(text, "b"), 2);
  EXPECT_EQ(json_line_of(text, "b[1]"), 3);
  EXPECT_EQ(json_line_of(text, "b[2].c"), 4);
  EXPECT_EQ(json_line_of(text, "b[2].c.d"), 4);
  EXPECT_EQ(json_line_of(text, "b[3][1][0]"), 5);
  EXPECT_EQ(json_line_of(text, "b[3][1][1]"), 6);
  EXPECT_EQ(json_line_of(text, "e"), 7);
}

TEST(JsonPlaceTest, OfWhatIsMissingGivesTheInnermostThatIsThere) {
  const std::string_view text = "{\"a\": [\n{\"b\": 1},\n{\n\"c\": [\n]}]}";
  EXPECT_EQ(json_line_of(text, "a[0].x"), 2);
  EXPECT_EQ(json_line_of(text, "a[1].x.y[3]"), 3);
  EXPECT_EQ(json_line_of(text, "a[1].c[0]"), 4);
  EXPECT_EQ(json_line_of(text, "a[7]"), 1);
  EXPECT_EQ(json_line_of(text, "a.b"), 1);
  EXPECT_EQ(json_line_of(text, "[0]"), 1);
}

/// Writes a random value with random line breaks and notes the line of each path.
class RandomText {
 public:
  explicit RandomText(uint64_t seed) : random_(seed) {}

  void write(const std::string& path, int depth) {
    lines.emplace_back(path, line_);
    const uint64_t kind = depth == 0 ? 2 + random_.below(3) : random_.below(5);
    if (kind == 2) text += R"("],}{[:\\\" \u00e9")";
    if (kind == 3) text += "-1.5e-3";
    if (kind == 4) text += "false";
    if (kind > 1) return;
    text += kind == 0 ? '{' : '[';
    const uint64_t count = random_.below(4);
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0) text += ',';
      blanks();
      if (kind == 0) {
        text += fmt::format("\"k{}\"", i);
        blanks();
        text += ':';
        blanks();
      }
      const std::string dot = path.empty() ? "" : ".";
      write(kind == 0 ? fmt::format("{}{}k{}", path, dot, i) : fmt::format("{}[{}]", path, i),
            depth - 1);
      blanks();
    }
    text += kind == 0 ? '}' : ']';
  }

  std::string text;
  std::vector<std::pair<std::string, int64_t>> lines;

 private:
  void blanks() {
    for (uint64_t n = random_.below(3); n > 0; --n) {
      const bool line_break = random_.below(2) == 0;
      text += line_break ? '\n' : ' ';
      if (line_break) ++line_;
    }
  }

  Random random_;
  int64_t line_ = 1;
};

TEST(JsonPlaceTest, FindsEveryValueOfRandomTexts) {
  size_t count = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    RandomText t(seed);
    t.write("", 5);
    ASSERT_TRUE(nlohmann::json::accept(t.text)) << t.text;
    for (const auto& [path, line] : t.lines)
      ASSERT_EQ(json_line_of(t.text, path), line) << path << "\n" << t.text;
    count += t.lines.size();
  }
  EXPECT_GT(count, 1000U);
}

TEST(JsonPlaceTest, EndsOnTextsThatAreNoJson) {
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (uint64_t n = random.below(30); n > 0; --n) text += "{}[],:\"\\a1 \n"[random.below(12)];
    EXPECT_GE(json_line_of(text, "a[2].b"), 1) << text;
  }
}

}  // namespace
}  // namespace limbeck
