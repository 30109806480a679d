#include "limbeck/compact/queries/sampled.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/model/sampling.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace limbeck {
namespace {

/// What a model that reads all tokens anew at every step says next.
std::vector<int32_t> continued(const Model& model, std::vector<int32_t> tokens, int64_t count,
                               int64_t seed) {
  SamplingOptions sampling;
  sampling.temperature = 0.8;
  sampling.seed = seed;
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i) {
    KvCache cache = model.new_cache();
    const at::Tensor logits = model.forward(cache, tokens).logits.contiguous();
    const auto vocabulary = static_cast<size_t>(logits.size(-1));
    const float* last = logits.const_data_ptr<float>() + logits.numel() - vocabulary;
    out.push_back(sample_token({last, vocabulary}, sampling, {}, i));
    tokens.push_back(out.back());
  }
  return out;
}

TEST(SampledSuffixTest, IsWhatTheModelSaysBehindTheText) {
  test::Read r({0, 0}, DType::f32, 40);
  const KvCache before = r.cache.clone();
  const std::vector<int32_t> text = r.cache.tokens();
  std::vector<int32_t> twice = text;
  twice.push_back(text.back());
  for (const int64_t seed : {1, 2}) {
    const ReferenceSuffix s = sampled_suffix(r.model, r.cache, {4, 40}, 12, 3.0, seed);
    EXPECT_EQ(s.tokens, continued(r.model, text, 12, seed));
    EXPECT_NE(s.tokens, continued(r.model, twice, 12, seed));
    EXPECT_EQ(s.weight, 3.0);
    EXPECT_FALSE(s.in_place);
  }
  EXPECT_TRUE(cache_equal(before, r.cache));
}

TEST(SampledSuffixTest, ReadsTheLastTokenBehindItselfWhereTheCacheKeepsIt) {
  test::Read sealed({0, 0}, DType::f32, 40), windowed({0, 16}, DType::f32, 40);
  sealed.cache.seal();
  for (test::Read* r : {&sealed, &windowed}) {
    const KvCache before = r->cache.clone();
    std::vector<int32_t> twice = r->cache.tokens();
    twice.push_back(twice.back());
    EXPECT_EQ(sampled_suffix(r->model, r->cache, {4, 40}, 6, 3.0, 1).tokens,
              continued(r->model, twice, 6, 1));
    EXPECT_TRUE(cache_equal(before, r->cache));
  }
}

TEST(SampledSuffixTest, RefusesWhatDoesNotFitTheWindowAndWeightsOfNothing) {
  test::Read r({0}, DType::f32, 40);
  const int64_t room = r.model.spec().context_length - 40;
  EXPECT_THROW(sampled_suffix(r.model, r.cache, {0, 40}, room + 1, 3.0, 1), InvalidArgument);
  for (const double weight : {0.0, -1.0, std::nan("")})
    EXPECT_THROW(sampled_suffix(r.model, r.cache, {0, 40}, 4, weight, 1), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
