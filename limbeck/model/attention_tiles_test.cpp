#include "limbeck/model/attention_tiles.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::max_difference;
using test::random_tensor;

/// The same from the formula in f32.
TileAttention plain(const TileAttentionInput& in) {
  const int64_t heads = in.queries.size(0), rows = in.queries.size(1), slots = in.keys.size(1);
  at::Tensor s = at::bmm(in.queries.to(at::kFloat), in.keys.to(at::kFloat).transpose(1, 2));
  s = s * in.scale;
  if (in.bias.defined()) s = s + in.bias.unsqueeze(1);
  if (in.causal > 0) {
    const at::Tensor row = at::arange(rows).remainder(in.causal).view({1, rows, 1});
    s.masked_fill_((at::arange(slots).view({1, 1, slots}) > row).expand({heads, rows, slots}),
                   -INFINITY);
  }
  return {at::bmm(at::softmax(s, 2), in.values.to(at::kFloat)), at::logsumexp(s, 2)};
}

TEST(TileAttentionTest, EqualsTheFormula) {
  Random random(17);
  for (const int64_t slots : {1, 31, 32, 100, 2048, 2049, 4500})
    for (const bool causal : {false, true}) {
      const int64_t heads = 2, group = 3, n = causal ? slots : 20, dim = 8 * (1 + slots % 3 * 4);
      if (n > 3000) continue;
      TileAttentionInput in;
      in.queries = random_tensor({heads, group * n, dim}, random, at::kBFloat16);
      // Rows of a wider buffer, as in a cache's tail.
      in.keys = random_tensor({heads, slots + 5, dim}, random, at::kBFloat16).narrow(1, 2, slots);
      in.values = random_tensor({heads, slots + 5, dim}, random, at::kBFloat16).narrow(1, 1, slots);
      in.causal = causal ? n : 0;
      in.scale = 0.7;
      for (const bool biased : {false, true}) {
        if (biased) {
          in.bias = random_tensor({heads, slots}, random);
          if (slots > 40) in.bias.narrow(1, 5, 30).fill_(-INFINITY);
        }
        const TileAttention got = tile_attention(in), want = plain(in);
        SCOPED_TRACE(fmt::format("{} slots, causal {}, biased {}", slots, causal, biased));
        EXPECT_LT(max_difference(got.lse, want.lse), 1e-4);
        EXPECT_LT(max_difference(got.out, want.out), 0.03);
      }
    }
}

TEST(TileAttentionTest, RowsThatSeeNothingGiveZero) {
  Random random(1);
  TileAttentionInput in;
  in.queries = random_tensor({1, 5, 16}, random, at::kBFloat16);
  in.keys = random_tensor({1, 40, 16}, random, at::kBFloat16);
  in.values = random_tensor({1, 40, 16}, random, at::kBFloat16);
  in.bias = at::full({1, 40}, -INFINITY);
  const TileAttention got = tile_attention(in);
  EXPECT_EQ(got.out.abs().max().item<float>(), 0);
  EXPECT_TRUE(got.lse.isneginf().all().item<bool>());
}

}  // namespace
}  // namespace limbeck
