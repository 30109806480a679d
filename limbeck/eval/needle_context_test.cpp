#include "limbeck/eval/needle_context.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/eval/needle_words.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

using test::made_up_book;
using test::tiny_tokenizer;

NeedleContexts contexts(int64_t seed, int64_t books = 2, int64_t sentences = 400,
                        int64_t needles = 4) {
  std::vector<SourceText> texts;
  for (int64_t i = 0; i < books; ++i)
    texts.push_back({fmt::format("book {}", i), made_up_book(sentences, 10 + i)});
  return {tiny_tokenizer(), {{1, 2}, {3}}, texts, {60, needles, seed}};
}

std::string text_of(const std::vector<int32_t>& ids) { return tiny_tokenizer().decode(ids); }

TEST(SentenceEndsTest, FindsEndsBehindQuotesAndPassesAbbreviationsBy) {
  const std::string text =
      "He left. \"Who?\" he asked.\n\n\"No!\" Mr. J. Smith sat... down at 3.14 St. Ives. End";
  std::vector<std::string> left;
  for (const size_t end : sentence_ends(text)) left.push_back(text.substr(end, 6));
  EXPECT_EQ(left, (std::vector<std::string>{" \"Who?", "\n\n\"No!", " Mr. J", " End"}));
  EXPECT_TRUE(sentence_ends("").empty());
  EXPECT_TRUE(sentence_ends("No end").empty());
}

TEST(NeedleWordsTest, AreDistinct) {
  EXPECT_EQ(std::set<std::string_view>(kNeedleWords.begin(), kNeedleWords.end()).size(),
            kNeedleWords.size());
}

TEST(NeedleContextTest, HasExactlyTheLengthsAndEveryNeedle) {
  NeedleContexts made = contexts(0);
  for (const int64_t length : {700, 1024})
    for (int64_t i = 0; i < 4; ++i) {
      const NeedleContext& c = made.context(length, i);
      EXPECT_EQ(static_cast<int64_t>(c.span.size()), length);
      EXPECT_EQ(c.continuation.size(), 60U);
      EXPECT_EQ(c.source, fmt::format("book {}", i % 2));
      const std::string held = text_of(c.span);
      std::set<std::string> words;
      size_t place = 0;
      for (const NeedleQuestion& q : c.questions) {
        const size_t at = held.find(
            fmt::format(". One of the special magic numbers for {} is: {}.", q.word, q.digits));
        ASSERT_NE(at, std::string::npos);
        EXPECT_GE(at, place);
        place = at;
        words.insert(q.word);
        EXPECT_EQ(q.digits.size(), 5U);
        EXPECT_EQ(text_of(q.gold), " " + q.digits);
      }
      EXPECT_EQ(words.size(), 4U);
    }
}

TEST(NeedleContextTest, WithoutItsNeedlesTheTextIsTheBooks) {
  NeedleContexts made = contexts(3, 1);
  const NeedleContext& c = made.context(700, 0);
  std::string text = text_of(c.span) + text_of(c.continuation);
  for (const NeedleQuestion& q : c.questions) {
    const std::string needle =
        fmt::format(" One of the special magic numbers for {} is: {}.", q.word, q.digits);
    text.erase(text.find(needle), needle.size());
  }
  const std::string book = made_up_book(400, 10);
  EXPECT_EQ(book.substr(c.offset, text.size()), text);
  EXPECT_EQ(c.offset + static_cast<int64_t>(text.size()), c.end);
  EXPECT_EQ(book.substr(c.offset - 2, 2), ". ");
}

TEST(NeedleContextTest, FramesPrefixAndQuestions) {
  NeedleContexts made = contexts(0);
  const NeedleContext& c = made.context(700, 0);
  EXPECT_EQ(c.prefix[0], 1);
  EXPECT_EQ(c.prefix[1], 2);
  EXPECT_TRUE(text_of({c.prefix.begin() + 2, c.prefix.end()}).starts_with("Some special magic"));
  const std::string question =
      "\n\nWhat is the special magic number for {} mentioned in the provided text?";
  const std::string expected =
      fmt::format(fmt::runtime(question), c.questions[0].word) + text_of({3}) +
      fmt::format("The special magic number for {} mentioned in the provided text is",
                  c.questions[0].word);
  EXPECT_EQ(text_of(c.questions[0].prompt), expected);
}

TEST(NeedleContextTest, IsTheSameWhereverARunBegins) {
  NeedleContexts a = contexts(5), b = contexts(5), other = contexts(6);
  b.context(1024, 3);
  EXPECT_EQ(a.context(700, 2).span, b.context(700, 2).span);
  EXPECT_EQ(a.context(700, 0).questions[0].digits, b.context(700, 0).questions[0].digits);
  EXPECT_NE(a.context(700, 0).span, other.context(700, 0).span);
  // Pinned, so that recorded runs stay comparable.
  EXPECT_EQ(a.context(700, 0).offset, 8766);
  EXPECT_EQ(a.context(700, 0).questions[0].word + a.context(700, 0).questions[0].digits,
            "piano17490");
}

TEST(NeedleContextTest, ContextsOfOneLengthDoNotOverlapAndFillTheBooks) {
  NeedleContexts made = contexts(1, 2, 300, 1);
  std::vector<NeedleContext> all;
  const std::string error = test::error_text<InvalidArgument>([&] {
    for (int64_t i = 0; i < 1000; ++i) all.push_back(made.context(300, i));
  });
  EXPECT_GT(all.size(), 20U);
  EXPECT_EQ(error,
            fmt::format("[needles] 2 texts have no room for context {} of 300 tokens; give more "
                        "text, fewer contexts or a shorter length",
                        all.size()));
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      EXPECT_TRUE(all[i].source != all[j].source || all[i].end <= all[j].offset ||
                  all[j].end <= all[i].offset);
}

TEST(NeedleContextTest, RefusesWhatHasNoRoom) {
  NeedleContexts enough = contexts(0), little = contexts(0, 2, 5);
  EXPECT_THROW(enough.context(100, 0), InvalidArgument);
  EXPECT_THROW(little.context(700, 0), InvalidArgument);
  EXPECT_THROW(contexts(0, 0), InvalidArgument);
  EXPECT_THROW(contexts(0, 1, 400, 33), InvalidArgument);
  NeedleContexts unmarked(tiny_tokenizer(), {}, {{"x", std::string(50'000, 'x')}}, {});
  EXPECT_THROW(unmarked.context(700, 0), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
