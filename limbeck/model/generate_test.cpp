#include "limbeck/model/generate.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

std::string run(StopFilter& filter, const std::vector<std::string>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += filter.push(piece);
  if (!filter.stopped()) out += filter.finish();
  return out;
}

TEST(StopFilterTest, FindsAStopStringAcrossPieces) {
  StopFilter filter({"END"});
  EXPECT_EQ(run(filter, {"some E", "N", "D more"}), "some ");
  EXPECT_TRUE(filter.stopped());
}

TEST(StopFilterTest, HoldsBackOnlyWhatCouldBeginAStopString) {
  StopFilter filter({"END"});
  EXPECT_EQ(filter.push("text EN"), "text ");
  EXPECT_EQ(filter.push("Joy"), "ENJoy");
  EXPECT_EQ(filter.finish(), "");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilterTest, TheEarliestOfSeveralWins) {
  StopFilter filter({"world", "lo w"});
  EXPECT_EQ(run(filter, {"hel", "lo world"}), "hel");
}

TEST(StopFilterTest, RefusesEmptyAndTooManyStrings) {
  EXPECT_THROW(StopFilter({""}), InvalidArgument);
  EXPECT_THROW(StopFilter(std::vector<std::string>(9, "x")), InvalidArgument);
}

LanguageModel bytes_model(DType dtype) {
  static const Tokenizer tokenizer = test::load(test::byte_level_json({{"h", "e"}}));
  ModelSpec spec = test::small_spec({0, 6, 0});
  spec.vocabulary = tokenizer.vocabulary_size();
  return {"bytes", "bytes.gguf", random_model(spec, dtype, 9), tokenizer, {}, {}};
}

// Eleven sequences are two groups; they end at different steps, so that groups change.
TEST(GenerateTogetherTest, EverySequenceIsAsItWouldBeAlone) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const LanguageModel lm = bytes_model(dtype);
    const std::vector<int32_t> prompt = test::random_tokens(12, 4);
    std::vector<KvCache> together, alone;
    for (int64_t i = 0; i < 11; ++i) {
      KvCache cache = lm.model.new_cache();
      prefill(lm.model, cache, test::random_tokens(20 + 7 * i, 30 + static_cast<uint64_t>(i)));
      if (i % 3 == 1) test::compact_randomly(cache, static_cast<uint64_t>(i));
      together.push_back(cache.clone());
      alone.push_back(std::move(cache));
    }
    GenerateOptions o;
    o.max_tokens = 40;
    o.sampling.temperature = 1.0;
    o.sampling.repetition_penalty = 1.2;
    o.stop = {"a", "q", "z"};
    std::vector<KvCache*> caches;
    for (KvCache& cache : together) caches.push_back(&cache);
    const auto results = generate_together(lm, caches, prompt, o);
    ASSERT_EQ(results.size(), 11U);
    std::set<size_t> lengths;
    for (size_t i = 0; i < results.size(); ++i) {
      const GenerateResult r = generate(lm, alone[i], prompt, o);
      EXPECT_EQ(results[i].tokens, r.tokens) << i;
      EXPECT_EQ(results[i].text, r.text) << i;
      EXPECT_EQ(results[i].finish_reason, r.finish_reason) << i;
      EXPECT_EQ(results[i].fed, r.fed) << i;
      EXPECT_TRUE(cache_equal(together[i], alone[i])) << i;
      lengths.insert(r.tokens.size());
    }
    EXPECT_GT(lengths.size(), 2U);
  }
}

TEST(GenerateTest, StopStringsMayCountBehindTheFirstTokenOnly) {
  const LanguageModel lm = bytes_model(DType::f32);
  const std::vector<int32_t> prompt = test::random_tokens(12, 4);
  const auto said = [&](const std::vector<std::string>& stop, bool after_first) {
    KvCache cache = lm.model.new_cache();
    GenerateOptions o;
    o.max_tokens = 12;
    o.ignore_eos = true;
    o.stop = stop;
    o.stop_after_first = after_first;
    return generate(lm, cache, prompt, o);
  };
  const GenerateResult free = said({}, false);
  const std::string first = lm.tokenizer.decode(std::span(free.tokens).first(1));
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(said({first}, false).text, "");
  const GenerateResult later = said({first}, true);
  EXPECT_TRUE(later.text.starts_with(first));
  const size_t again = free.text.find(first, first.size());
  EXPECT_EQ(later.text, free.text.substr(0, again));
}

TEST(GenerateTogetherTest, RefusesWhatCannotBeShared) {
  const LanguageModel lm = bytes_model(DType::f32);
  const std::vector<int32_t> prompt = test::random_tokens(5, 4);
  KvCache cache = lm.model.new_cache();
  const std::vector<KvCache*> twice = {&cache, &cache};
  EXPECT_THROW(generate_together(lm, twice, prompt), InvalidArgument);
  GenerateOptions o;
  o.on_text = [](std::string_view) { return true; };
  EXPECT_THROW(generate_together(lm, std::span(twice).first(1), prompt, o), InvalidArgument);
  EXPECT_EQ(cache.logical_length(), 0);
  EXPECT_TRUE(generate_together(lm, {}, prompt).empty());
}

}  // namespace
}  // namespace limbeck
