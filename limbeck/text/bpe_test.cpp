#include "limbeck/text/bpe.h"

#include "limbeck/base/random.h"
#include "limbeck/text/score_bpe.h"

#include <gtest/gtest.h>

#include <map>

namespace limbeck {
namespace {

using Ids = std::vector<TokenId>;

// Random merges over three letters, each of tokens that exist by then.
struct RandomMerges {
  std::vector<Vocabulary::Entry> entries = {{"a", 0}, {"b", 1}, {"c", 2}};
  std::vector<MergeRule> rules;

  explicit RandomMerges(Random& random) {
    std::map<std::string, TokenId> ids = {{"a", 0}, {"b", 1}, {"c", 2}};
    for (int i = 0; i < 40; ++i) {
      const auto& left = entries[random.below(entries.size())];
      const auto& right = entries[random.below(entries.size())];
      const std::string text = left.first + right.first;
      if (text.size() > 12) continue;
      const auto [it, is_new] = ids.emplace(text, static_cast<TokenId>(ids.size()));
      rules.push_back(
          {static_cast<TokenId>(left.second), static_cast<TokenId>(right.second), it->second});
      if (is_new) entries.emplace_back(text, it->second);
    }
    // Ranks in an order that is not the order of lengths.
    for (size_t i = rules.size(); i > 1; --i) std::swap(rules[i - 1], rules[random.below(i)]);
  }
};

TEST(BpeTest, ScanAndHeapAgree) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    RandomMerges merges(random);
    const BpeModel model(Vocabulary(merges.entries, "test"), merges.rules, {});
    MergeScratch scan, heap;
    for (uint64_t i = random.below(120); i > 0; --i) {
      scan.ids.push_back(static_cast<TokenId>(random.below(3)));
    }
    heap.ids = scan.ids;
    model.merge_by_scan(scan);
    model.merge_by_heap(heap);
    ASSERT_EQ(scan.ids, heap.ids) << "round " << round;
  }
}

TEST(BpeTest, TiesGoToTheLeft) {
  const BpeModel model(Vocabulary({{"a", 0}, {"aa", 1}}, "test"), {{0, 0, 1}}, {});
  MergeScratch scratch;
  Ids ids;
  model.encode("aaa", scratch, ids);
  EXPECT_EQ(ids, (Ids{1, 0}));
}

TEST(BpeTest, LastOfEqualMergesCounts) {
  // "a b" at ranks 0 and 2: the later rank lets "b c" go first.
  const BpeModel model(Vocabulary({{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}}, "test"),
                       {{0, 1, 3}, {1, 2, 4}, {0, 1, 3}}, {});
  MergeScratch scratch;
  Ids ids;
  model.encode("abc", scratch, ids);
  EXPECT_EQ(ids, (Ids{0, 4}));
}

TEST(BpeTest, WordsAreIndependentUnlessAMergeEndsInAMark) {
  const std::string mark(kSpaceMark);
  const Vocabulary words({{"a", 0}, {mark, 1}, {mark + "a", 2}, {mark + mark, 3}}, "test");
  EXPECT_TRUE(BpeModel(words, {{1, 0, 2}, {1, 1, 3}}, {}).words_are_independent());
  const Vocabulary joined({{"a", 0}, {mark, 1}, {"a" + mark, 2}}, "test");
  EXPECT_FALSE(BpeModel(joined, {{0, 1, 2}}, {}).words_are_independent());
  const Vocabulary unmarked({{"a", 0}, {"aa", 1}}, "test");
  EXPECT_FALSE(BpeModel(unmarked, {{0, 0, 1}}, {}).words_are_independent());
}

TEST(BpeTest, MarkedWordsCoverThePiece) {
  const std::string mark(kSpaceMark);
  std::vector<std::string> words;
  for_each_marked_word(mark + mark + "a" + mark + "b" + mark + mark,
                       [&](std::string_view word) { words.emplace_back(word); });
  EXPECT_EQ(words, (std::vector<std::string>{mark + mark + "a", mark + "b", mark + mark}));
}

TEST(ScoreBpeTest, HighestScoreMergesFirst) {
  const Vocabulary vocabulary({{"<unk>", 0}, {"a", 1}, {"b", 2}, {"c", 3}, {"ab", 4}, {"bc", 5}},
                              "test");
  const ScoreBpeModel model(vocabulary, {0, 0, 0, 0, -2, -1}, {false, true, true, true, true, true},
                            TokenId{0});
  MergeScratch scratch;
  Ids ids;
  model.encode("abcx", scratch, ids);
  EXPECT_EQ(ids, (Ids{1, 5, 0}));
}

TEST(ScoreBpeTest, TextThatLooksLikeControlTokensStaysText) {
  const Vocabulary vocabulary({{"<", 0}, {"s", 1}, {"<s", 2}, {">", 3}, {"<s>", 4}}, "test");
  const ScoreBpeModel model(vocabulary, {0, 0, 0, 0, 0}, {true, true, true, true, false},
                            std::nullopt);
  MergeScratch scratch;
  Ids ids;
  model.encode("<s>", scratch, ids);
  EXPECT_EQ(ids, (Ids{2, 3}));
}

}  // namespace
}  // namespace limbeck
