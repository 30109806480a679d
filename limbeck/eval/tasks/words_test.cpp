#include "limbeck/eval/tasks/words.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/stream.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

std::string many(int64_t count) {
  Random random(5);
  std::set<std::string> words;
  while (static_cast<int64_t>(words.size()) < count) words.insert(syllable_word(random, 3));
  std::string out;
  for (const std::string& word : words) out += word + '\n';
  return out;
}

TEST(WordListTest, ShippedListGivesThePinnedKey) {
  const WordList words = WordList::load("assets/words/english.txt");
  EXPECT_EQ(words.size(), 23899);
  EXPECT_EQ(words.word(14080), "obey");
  EXPECT_EQ(words.word(6036), "djinn");
  Random random = task_stream(42, "niah_single_1", 4096, 0);
  EXPECT_EQ(words.draw_key(random), "obey-djinn");
  // Pinned: recorded runs name it.
  EXPECT_EQ(words.hash(), "28705b187a441ce152de1cab03c74478");
}

TEST(WordListTest, MadeUpWordsAreDistinctAndAlwaysTheSame) {
  const WordList words = WordList::syllables();
  EXPECT_EQ(words.size(), 24000);
  std::set<std::string> distinct;
  for (int64_t i = 0; i < words.size(); ++i) {
    distinct.insert(words.word(i));
    EXPECT_GE(words.word(i).size(), 4U);
    EXPECT_LE(words.word(i).size(), 9U);
  }
  EXPECT_EQ(distinct.size(), 24000U);
  EXPECT_EQ(words.hash(), WordList::syllables().hash());
  EXPECT_EQ(words.hash(), "67af2208750ec2a6289fb8d732c11616");
}

TEST(WordListTest, RefusesWhatIsNoList) {
  const test::ScratchFolder folder;
  const auto error = [&](const std::string& text) {
    const auto path = folder.write("list.txt", text);
    std::string found = test::error_text<FormatError>([&] { WordList::load(path); });
    const size_t at = found.find(path.string());
    return at == std::string::npos ? found : found.replace(at, path.string().size(), "FILE");
  };
  EXPECT_EQ(error("good\nBad\n"),
            "[words] FILE line 2: a word must be 2 to 32 letters a-z; found \"Bad\"");
  EXPECT_EQ(error("good\r\n"),
            "[words] FILE line 1: a word must be 2 to 32 letters a-z; found \"good?\"");
  EXPECT_EQ(error("good\n\n"),
            "[words] FILE line 2: a word must be 2 to 32 letters a-z; found \"\"");
  EXPECT_EQ(error("good\nwell\ngood\n"), "[words] FILE line 3: \"good\" stands in an earlier line");
  EXPECT_EQ(error("good\nwell"), "[words] FILE: must have at least 8000 words; found 2");
  EXPECT_EQ(error(many(8000)), "");
  EXPECT_THROW(WordList::load(folder.path() / "none.txt"), ResourceError);
}

}  // namespace
}  // namespace limbeck
