#include "limbeck/compact/fit/head_attention.h"

#include "limbeck/compact/fit/synthetic_heads.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(HeadAttentionTest, TilesEqualThePlainPath) {
  Random random(6);
  for (int64_t slots : {1, 31, 32, 300, 777})
    for (bool biased : {false, true}) {
      HeadRows p;
      p.queries = (2 * test::normal({100, 64}, random)).to(at::kBFloat16);
      p.keys = test::normal({slots, 64}, random).to(at::kBFloat16);
      p.values = test::normal({slots, 64}, random).to(at::kBFloat16);
      if (biased) p.bias = test::normal({slots}, random);
      p.scale = 0.125;
      if (biased) p.elsewhere = test::normal({100}, random);
      const HeadAttention got = head_attention(p), want = head_attention_plain(p);
      EXPECT_LT((got.lse - want.lse).abs().max().item<double>(), 1e-4);
      EXPECT_LT((got.outputs - want.outputs).abs().max().item<double>(), 2e-2);  // bf16 weights
      EXPECT_LT((got.part - want.part).abs().max().item<double>(), 1e-5);
      EXPECT_LT((got.coverage - want.coverage).abs().max().item<double>(), 1e-5);
      // Ties aside the same row reads a slot most.
      EXPECT_GT(got.reader.eq(want.reader).to(at::kFloat).mean().item<double>(), 0.98);
    }
}

}  // namespace
}  // namespace limbeck
