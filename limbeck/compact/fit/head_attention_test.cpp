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
      // Ties aside the same row reads a slot most. A slot alone has all of every row.
      if (slots == 1 && !biased) continue;
      EXPECT_GT(got.reader.eq(want.reader).to(at::kFloat).mean().item<double>(), 0.98);
    }
}

TEST(HeadAttentionTest, PartsOfTheRowsJoinToTheWhole) {
  Random random(8);
  HeadRows p;
  p.queries = test::normal({90, 32}, random);
  p.keys = test::normal({50, 32}, random);
  p.values = test::normal({50, 32}, random);
  p.elsewhere = test::normal({90}, random);
  p.scale = 0.2;
  const HeadAttention whole = head_attention(p);
  std::vector<HeadAttention> parts;
  for (const auto& [first, n] :
       {std::pair{0, 0}, std::pair{0, 40}, std::pair{40, 30}, std::pair{70, 20}}) {
    HeadRows q = p;
    q.queries = p.queries.narrow(0, first, n);
    q.elsewhere = p.elsewhere.narrow(0, first, n);
    parts.push_back(head_attention(q));
  }
  const HeadAttention joined = join_attention(parts);
  EXPECT_TRUE(at::allclose(joined.outputs, whole.outputs, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(joined.lse, whole.lse, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(joined.part, whole.part, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(joined.coverage, whole.coverage, 1e-5, 1e-6));
  EXPECT_GT(joined.reader.eq(whole.reader).to(at::kFloat).mean().item<double>(), 0.95);
}

}  // namespace
}  // namespace limbeck
