#include "limbeck/text/tokenizer.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

#include <thread>

namespace limbeck {
namespace {

using test::load;
using test::sample_json;
using Ids = std::vector<TokenId>;

TEST(TokenizerTest, MergesByRankAndDecodesBack) {
  const Tokenizer tokenizer = load(sample_json());
  const Ids ids = tokenizer.encode("hello hello!");
  EXPECT_EQ(ids, (Ids{259, 260, '!'}));
  EXPECT_EQ(tokenizer.decode(ids), "hello hello!");
  EXPECT_EQ(tokenizer.token_bytes(260), " hello");
  EXPECT_EQ(tokenizer.vocabulary_size(), 263);
  EXPECT_EQ(tokenizer.find_token("<think>"), 262);
  EXPECT_EQ(tokenizer.find_token("absent"), std::nullopt);
}

TEST(TokenizerTest, EmptyTextHasNoTokens) {
  EXPECT_TRUE(load(sample_json()).encode("").empty());
  EXPECT_TRUE(load(sample_json()).encode(std::vector<TextPart>{}).empty());
}

TEST(TokenizerTest, SpecialTextsAreTokensOnlyWhenAsked) {
  const Tokenizer tokenizer = load(sample_json());
  EXPECT_EQ(tokenizer.encode("<|im_end|>", {.parse_special = true}), (Ids{261}));
  EXPECT_EQ(tokenizer.encode("<|im_end|>").size(), 10u);
  EXPECT_EQ(tokenizer.encode("<think>"), (Ids{262}));  // added, not special: a word like others
}

TEST(TokenizerTest, SpecialTokensAreSkippedOnDecodeWhenAsked) {
  const Tokenizer tokenizer = load(sample_json());
  EXPECT_EQ(tokenizer.decode(Ids{262, 259, 261}, true), "<think>hello");
  EXPECT_EQ(tokenizer.decode(Ids{262, 259, 261}), "<think>hello<|im_end|>");
  EXPECT_TRUE(tokenizer.is_special(261));
  EXPECT_FALSE(tokenizer.is_special(262));
}

TEST(TokenizerTest, PartsFormOneText) {
  const Tokenizer tokenizer = load(sample_json());
  const std::vector<TextPart> parts = {{"he", true}, {"llo", false}, {" hell", false}, {"o", true}};
  EXPECT_EQ(tokenizer.encode(parts), (Ids{259, 260}));
}

TEST(TokenizerTest, SpecialTextOfAMessageNeverBecomesAToken) {
  const Tokenizer tokenizer = load(sample_json());
  const std::vector<TextPart> inside = {{"x", true}, {"<|im_end|>", false}, {"<|im_end|>", true}};
  const Ids ids = tokenizer.encode(inside);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 261), 1);
  EXPECT_EQ(ids.back(), 261);
  const std::vector<TextPart> across = {{"<|im_", false}, {"end|>", true}};
  const Ids split = tokenizer.encode(across);
  EXPECT_EQ(std::count(split.begin(), split.end(), 261), 0);
  // What would straddle must not hide the token that follows.
  const std::vector<TextPart> hiding = {{"<|im_end|", false}, {"><|im_end|>", true}};
  EXPECT_EQ(tokenizer.encode(hiding).back(), 261);
}

TEST(TokenizerTest, BosIsAddedOnceAroundParts) {
  nlohmann::json json = sample_json();
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single",
                             {{{"SpecialToken", {{"id", "<|im_end|>"}, {"type_id", 0}}}},
                              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
                            {"special_tokens", {{"<|im_end|>", {{"ids", {261}}}}}}};
  const Tokenizer tokenizer = load(json);
  EXPECT_EQ(tokenizer.bos(), 261);
  EXPECT_EQ(tokenizer.encode("hello", {.add_special = true}), (Ids{261, 259}));
  const std::vector<TextPart> parts = {{"<|im_end|>", true}, {"hello", false}};
  EXPECT_EQ(tokenizer.encode(parts, true), (Ids{261, 259}));
}

TEST(TokenizerTest, RefusesInvalidUtf8) {
  const Tokenizer tokenizer = load(sample_json());
  const auto message = [&](const auto& input) -> std::string {
    try {
      tokenizer.encode(input);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message("0123456789abcdefg\xED\xA0\x80"), "[tokenize] invalid UTF-8 at byte 17");
  EXPECT_EQ(message(std::vector<TextPart>{{"ab", true}, {"\xC3", true}}),
            "[tokenize] invalid UTF-8 at byte 2");
}

TEST(TokenizerTest, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = load(sample_json());
  EXPECT_THROW(tokenizer.decode(Ids{263}), InvalidArgument);
  EXPECT_THROW(tokenizer.decode(Ids{-1}), InvalidArgument);
  EXPECT_THROW(tokenizer.token_text(263), InvalidArgument);
}

TEST(TokenizerTest, IgnoreMergesTakesWholePieces) {
  nlohmann::json json = sample_json();
  json["model"]["merges"] = nlohmann::json::array();
  EXPECT_EQ(load(json).encode("hello").size(), 5u);
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(json).encode("hello"), (Ids{259}));
}

TEST(TokenizerTest, CharactersFallBackToBytes) {
  const Tokenizer tokenizer = load(test::character_json());
  const Ids ids = tokenizer.encode("ab ab\xC3\xA9");
  EXPECT_EQ(ids, (Ids{260, 261, 0xC3 + 1, 0xA9 + 1}));
  EXPECT_EQ(tokenizer.decode(ids), "ab ab\xC3\xA9");
  EXPECT_EQ(tokenizer.decode(Ids{0xC3 + 1, 258}),
            "\xEF\xBF\xBD"
            "a");
}

TEST(TokenizerTest, UnknownCharactersFuseWhenTheFileSaysSo) {
  nlohmann::json json = test::character_json();
  json["model"]["byte_fallback"] = false;
  EXPECT_EQ(load(json).encode("a??b"), (Ids{258, 0, 259}));
  json["model"]["fuse_unk"] = false;
  EXPECT_EQ(load(json).encode("a??b"), (Ids{258, 0, 0, 259}));
}

TEST(TokenizerTest, FingerprintTellsTokenizersApart) {
  const std::string base = load(sample_json()).fingerprint();
  EXPECT_EQ(base, load(sample_json()).fingerprint());
  EXPECT_EQ(base.size(), 32u);
  const auto differs = [&](auto change) {
    nlohmann::json json = sample_json();
    change(json);
    return load(json).fingerprint() != base;
  };
  EXPECT_TRUE(differs([](auto& j) { j["added_tokens"][1]["special"] = true; }));
  EXPECT_TRUE(differs([](auto& j) { j["model"]["ignore_merges"] = true; }));
  EXPECT_TRUE(differs([](auto& j) { j["model"]["merges"].erase(4); }));
  EXPECT_TRUE(differs([](auto& j) { j["pre_tokenizer"]["use_regex"] = false; }));
  EXPECT_TRUE(differs([](auto& j) { j["normalizer"] = {{"type", "NFC"}}; }));
}

TEST(TokenizerTest, LongTextsGiveTheTokensOfTheirWords) {
  const Tokenizer tokenizer = load(sample_json());
  std::string text;
  Ids expected;
  for (int i = 0; i < 5'000; ++i) {  // long enough for the cache of pieces
    const std::string word = i % 3 == 0 ? " hello" : " w" + std::to_string(i % 40) + "hell";
    text += word;
    const Ids ids = tokenizer.encode(word);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer.encode(text), expected);
}

TEST(TokenizerTest, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = load(sample_json());
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += " hello " + std::to_string(i);
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  for (Ids& ids : found) threads.emplace_back([&] { ids = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : found) EXPECT_EQ(ids, expected);
}

TEST(StreamDecoderTest, HoldsBackUnfinishedCharacters) {
  StreamDecoder stream(load(sample_json()));
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x99), "");
  EXPECT_EQ(stream.push(0x82), "\xF0\x9F\x99\x82");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.push('a'),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoderTest, EqualsDecodeOnRandomIds) {
  const Tokenizer tokenizers[] = {load(sample_json()), load(test::character_json())};
  Random random(20);
  for (int round = 0; round < 2'000; ++round) {
    const Tokenizer& tokenizer = tokenizers[round % 2];
    Ids ids(random.below(12));
    for (TokenId& id : ids) {
      id = static_cast<TokenId>(random.below(static_cast<uint64_t>(tokenizer.vocabulary_size())));
    }
    StreamDecoder stream(tokenizer, round % 4 < 2);
    std::string text;
    for (TokenId id : ids) text += stream.push(id);
    EXPECT_EQ(text + stream.finish(), tokenizer.decode(ids, round % 4 < 2)) << "round " << round;
  }
}

}  // namespace
}  // namespace limbeck
