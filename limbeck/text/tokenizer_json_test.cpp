#include "limbeck/base/error.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

#include <functional>

namespace limbeck {
namespace {

using nlohmann::json;

// The error that a changed sample gives.
std::string refusal(const std::function<void(json&)>& change) {
  json sample = test::sample_json();
  change(sample);
  try {
    test::load(sample);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(TokenizerJsonTest, RefusesUnknownComponentsByName) {
  for (const char* field : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    const std::string text = refusal([&](json& j) { j[field] = {{"type", "Nonesuch"}}; });
    EXPECT_TRUE(contains(text, field)) << text;
    EXPECT_TRUE(contains(text, "\"Nonesuch\"")) << text;
    EXPECT_TRUE(text.starts_with("[tokenizer] sample.json: ")) << text;
  }
  EXPECT_EQ(refusal([](json& j) { j["model"]["type"] = "Unigram"; }),
            "[tokenizer] sample.json: model.type is not supported; found \"Unigram\"");
}

TEST(TokenizerJsonTest, RefusesMergesOfUnknownTokens) {
  EXPECT_EQ(refusal([](json& j) { j["model"]["merges"].push_back("he zz"); }),
            "[tokenizer] sample.json: merges must name tokens of the vocabulary; found \"zz\" in "
            "merge 5");
  EXPECT_TRUE(contains(refusal([](json& j) { j["model"]["merges"][0] = "abc"; }), "one space"));
  EXPECT_TRUE(contains(refusal([](json& j) { j["model"]["merges"][0] = {"a"}; }), "merges[0]"));
}

TEST(TokenizerJsonTest, TakesMergesAsPairsToo) {
  json pairs = test::sample_json();
  for (json& merge : pairs["model"]["merges"]) {
    const std::string text = merge;
    const size_t space = text.find(' ');
    merge = {text.substr(0, space), text.substr(space + 1)};
  }
  EXPECT_EQ(test::load(pairs).fingerprint(), test::load(test::sample_json()).fingerprint());
}

TEST(TokenizerJsonTest, RefusesBadIds) {
  const auto with_id = [](const json& id) {
    return refusal([&](json& j) { j["model"]["vocab"]["new"] = id; });
  };
  EXPECT_TRUE(contains(with_id(-1), "[0, 4194304)"));
  EXPECT_TRUE(contains(with_id(4'194'304), "[0, 4194304)"));
  EXPECT_TRUE(contains(with_id(UINT64_MAX), "[0, 4194304)"));
  EXPECT_TRUE(contains(with_id(4'194'303), "unused"));
  EXPECT_TRUE(contains(with_id(7), "unique"));
  EXPECT_TRUE(contains(with_id(1.5), "integers"));
  EXPECT_TRUE(contains(with_id("7"), "integers"));
}

TEST(TokenizerJsonTest, RefusesBadAddedTokens) {
  const auto with_token = [](const char* key, const json& value) {
    return refusal([&](json& j) { j["added_tokens"][0][key] = value; });
  };
  EXPECT_TRUE(contains(with_token("content", ""), "1 to 1024 bytes"));
  EXPECT_TRUE(contains(with_token("content", "<think>"), "unique"));
  EXPECT_TRUE(contains(with_token("content", "hello"), "keep its id"));
  EXPECT_TRUE(contains(with_token("id", 259), "id of its own"));
  EXPECT_TRUE(contains(with_token("id", 262), "ids of their own"));
  EXPECT_TRUE(contains(with_token("id", -3), "[0, 4194304)"));
  EXPECT_TRUE(contains(with_token("special", 1), "added_tokens[0].special must be true or false"));
}

TEST(TokenizerJsonTest, RefusesWhatIsNoTokenizer) {
  for (const char* text :
       {"", "[]", "{", "null", "{\"model\": 1}", "{\"model\": {\"type\": \"BPE\"}}"}) {
    EXPECT_THROW(Tokenizer::from_json(text, "t"), FormatError) << text;
  }
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_THROW(Tokenizer::from_json(deep, "t"), FormatError);
}

TEST(TokenizerJsonTest, RefusesDecodersThatNeedTheWholeText) {
  const auto with_decoders = [](const json& list) {
    return refusal([&](json& j) { j["decoder"] = {{"type", "Sequence"}, {"decoders", list}}; });
  };
  const json fuse = {{"type", "Fuse"}};
  EXPECT_TRUE(contains(
      with_decoders({fuse, {{"type", "Strip"}, {"content", " "}, {"start", 0}, {"stop", 1}}}),
      "start only"));
  EXPECT_TRUE(contains(
      with_decoders({fuse, {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", ""}}}),
      "behind ByteFallback or Fuse"));
}

TEST(TokenizerJsonTest, RefusesRegexesByConstruct) {
  const auto with_regex = [](const char* pattern) {
    return refusal([&](json& j) {
      j["pre_tokenizer"] = {
          {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    });
  };
  EXPECT_TRUE(contains(with_regex(R"(\bx)"), R"(escape \b is not supported)"));
  EXPECT_TRUE(contains(with_regex("(a"), "must compile"));
  EXPECT_TRUE(contains(with_regex("[a[b]]"), "class inside a class"));
}

}  // namespace
}  // namespace limbeck
