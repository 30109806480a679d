#include "limbeck/eval/tasks/lm.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TaskResources resources() {
  TaskResources out;
  out.texts = std::make_shared<std::vector<std::string>>(
      std::vector<std::string>{test::made_up_text(900, 1), test::made_up_text(700, 2)});
  return out;
}

std::unique_ptr<Task> make(int64_t seed = 42) {
  LmOptions options;
  options.continuation = 64;
  options.seed = seed;
  return make_lm_task(resources(), options, test::word_counter());
}

TEST(LmTaskTest, ExcerptsHaveTheTokensAndDoNotOverlap) {
  const auto task = make();
  const auto counter = test::word_counter();
  const TaskResources texts = resources();
  std::vector<std::pair<int64_t, int64_t>> of_text[2];
  for (int64_t i = 0; i < 30; ++i) {
    const TaskDocument d = task->document(256, i);
    EXPECT_GE(counter(d.text, "", "") - counter("", "", ""), 256 + 64);
    const auto text = d.facts["text"].get<size_t>();
    const auto begin = d.facts["byte"].get<int64_t>();
    EXPECT_EQ((*texts.texts)[text].substr(static_cast<size_t>(begin), d.text.size()), d.text);
    const auto end = begin + static_cast<int64_t>(d.text.size());
    for (const auto& [b, e] : of_text[text]) EXPECT_TRUE(end <= b || e <= begin);
    of_text[text].emplace_back(begin, end);
  }
  EXPECT_FALSE(of_text[0].empty() || of_text[1].empty());
}

TEST(LmTaskTest, ATextThatJustHoldsTheTokensIsUsedWhole) {
  TaskResources r;
  const PromptCounter words = test::word_counter();
  const auto of_tokens = [&](int64_t wanted) {
    std::string out;
    while (words(out, "", "") - words("", "", "") < wanted) out += "word ";
    return out;
  };
  const std::string text = of_tokens(330), shorter = of_tokens(310);
  r.texts = std::make_shared<std::vector<std::string>>(std::vector<std::string>{shorter, text});
  LmOptions options;
  options.continuation = 64;
  const auto task = make_lm_task(r, options, words);
  ASSERT_EQ(task->size(256), 1);
  EXPECT_EQ(task->document(256, 0).text, text);
}

TEST(LmTaskTest, NoCharacterIsCutAnywhere) {
  TaskResources r;
  std::string text;
  while (text.size() < 60000) text += "\u201cna\u00efve\u201d \u4e2d\u6587 caf\u00e9s ";
  r.texts = std::make_shared<std::vector<std::string>>(std::vector<std::string>{text, "x" + text});
  // No byte that goes on with a character stands first, and none that needs more stands last.
  const auto whole = [](std::string_view part) {
    const auto bits = [](char c, unsigned mask) { return static_cast<unsigned char>(c) & mask; };
    if (part.empty()) return true;
    size_t tail = 0;
    while (tail < part.size() && bits(part[part.size() - 1 - tail], 0xC0) == 0x80) ++tail;
    if (tail == part.size() || bits(part.front(), 0xC0) == 0x80) return false;
    const char lead = part[part.size() - 1 - tail];
    const size_t wanted = bits(lead, 0x80) == 0      ? 0
                          : bits(lead, 0xE0) == 0xC0 ? 1
                          : bits(lead, 0xF0) == 0xE0 ? 2
                                                     : 3;
    return tail == wanted;
  };
  const PromptCounter words = test::word_counter();
  const PromptCounter strict = [&](std::string_view document, std::string_view question,
                                   std::string_view prefix) {
    EXPECT_TRUE(whole(document));
    return words(document, question, prefix);
  };
  const auto task = make_lm_task(r, {}, strict);
  EXPECT_GT(task->size(128), 2);
  EXPECT_TRUE(whole(task->document(128, 1).text));
}

TEST(LmTaskTest, TextsWithoutBlanksAreCutBetweenCharacters) {
  TaskResources r;
  std::string text;
  for (int i = 0; i < 6000; ++i) text += i % 3 == 0 ? "\u4e2d" : i % 7 == 0 ? "\u3002" : "\u6587";
  r.texts = std::make_shared<std::vector<std::string>>(std::vector<std::string>{text});
  LmOptions options;
  options.continuation = 64;
  const PromptCounter characters = [](std::string_view document, std::string_view,
                                      std::string_view) {
    EXPECT_EQ(document.size() % 3, 0U);
    return static_cast<int64_t>(document.size() / 3);
  };
  const auto task = make_lm_task(r, options, characters);
  ASSERT_GT(task->size(256), 4);
  for (int64_t i = 0; i < task->size(256); ++i) EXPECT_GE(task->document(256, i).text.size(), 960U);
}

TEST(LmTaskTest, ADocumentSaysWhichExcerptItIs) {
  const std::string source = make()->document(256, 0).source;
  EXPECT_EQ(make()->document(256, 0).source, source);
  EXPECT_NE(make()->document(256, 1).source, source);
  EXPECT_NE(make(7)->document(256, 0).source, source);
  LmOptions longer;
  longer.continuation = 65;
  EXPECT_TRUE(source.ends_with(" +64")) << source;
  EXPECT_TRUE(make_lm_task(resources(), longer, test::word_counter())
                  ->document(256, 0)
                  .source.ends_with(" +65"));
}

TEST(LmTaskTest, TheSamePlacesEachTimeAndOthersForAnotherSeed) {
  const auto a = make(), b = make();
  b->document(256, 3);  // the order of asking does not matter
  EXPECT_EQ(a->document(256, 0).text, b->document(256, 0).text);
  EXPECT_NE(a->document(256, 0).text, make(7)->document(256, 0).text);
}

TEST(LmTaskTest, SaysWhenTheTextsAreTooShort) {
  const auto task = make();
  EXPECT_EQ(task->size(1 << 20), 0);
  const std::string error = test::error_text<InvalidArgument>([&] { task->document(1 << 20, 0); });
  EXPECT_EQ(error, "[lm] texts must have room for 1 excerpts of 1048640 tokens; found room for 0");
  EXPECT_THROW(make_lm_task({}, {}, test::word_counter()), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
