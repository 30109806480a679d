#include "limbeck/model/kernels/row_attention.h"

#include "limbeck/model/kernels/kernel_testing.h"

#include <algorithm>
#include <limits>

namespace limbeck {
namespace {

constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

struct Seen {
  std::vector<float> outputs, lse, best;
  std::vector<int32_t> best_row;
};

/// A head with its own storage.
struct Head {
  Head(int64_t rows, int64_t slots, int64_t dim, Random& random, double size = 1.0)
      : queries(Buffer::normal(DType::bf16, rows * dim, random, size)),
        keys(Buffer::normal(DType::bf16, slots * dim, random, size)),
        values(Buffer::normal(DType::bf16, slots * dim, random)) {
    a.rows = rows;
    a.slots = slots;
    a.dim = dim;
    a.scale = static_cast<float>(1 / std::sqrt(double(dim)));
    a.queries = static_cast<const Bf16*>(queries.data());
    a.keys = static_cast<const Bf16*>(keys.data());
    a.values = static_cast<const Bf16*>(values.data());
  }
  template <class F>
  Seen run(F&& kernel) {
    Seen s{std::vector<float>(a.rows * a.dim, NAN), std::vector<float>(a.rows, NAN),
           std::vector<float>(a.slots, NAN), std::vector<int32_t>(a.slots, -1)};
    a.outputs = s.outputs.data();
    a.lse = s.lse.data();
    a.best = s.best.data();
    a.best_row = s.best_row.data();
    kernel(a);
    return s;
  }
  /// Probability of slot j for row i, given what row i has in all.
  double probability(const Seen& want, int64_t i, int64_t j) const {
    double dot = 0;
    for (int64_t d = 0; d < a.dim; ++d) dot += queries[i * a.dim + d] * keys[j * a.dim + d];
    const double logit = dot * a.scale + (a.bias != nullptr ? a.bias[j] : 0.0);
    const double other = a.elsewhere != nullptr ? a.elsewhere[i] : kMinusInf;
    return std::exp(logit - want.lse[i] - std::log1p(std::exp(other - want.lse[i])));
  }
  Buffer queries, keys, values;
  RowAttention a;
};

void expect_near(Head& head, double rounding = 1) {
  const Seen want = head.run(row_attention_reference), got = head.run(row_attention);
  // Weights are rounded to bf16.
  EXPECT_LT(relative_error(got.outputs.data(), want.outputs.data(), got.outputs.size()), 4e-3);
  for (size_t i = 0; i < got.lse.size(); ++i) EXPECT_NEAR(got.lse[i], want.lse[i], 2e-5 * rounding);
  for (size_t j = 0; j < got.best.size(); ++j) {
    EXPECT_NEAR(got.best[j], want.best[j], 3e-5 * rounding * want.best[j] + 1e-30);
    // The row named gives the slot the highest probability, whichever of near equals it is.
    if (want.best[j] <= 1e-30) continue;
    EXPECT_NEAR(head.probability(want, got.best_row[j], j) / want.best[j], 1, 3e-5 * rounding);
  }
}

class RowAttentionTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(TilePaths, RowAttentionTest, testing::Values(CpuPath::amx),
                         cpu_path_test_name);

TEST_P(RowAttentionTest, EqualsTheReference) {
  const uint64_t seed = test_seed(41);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int64_t dim : {32, 64, 96, 128, 256})
    for (int64_t slots : {1, 15, 16, 17, 31, 33, 255, 256, 257, 600})
      for (int64_t rows : {1, 31, 32, 70}) {
        SCOPED_TRACE(testing::Message() << dim << " " << slots << " " << rows);
        Head head(rows, slots, dim, random);
        const std::vector<float> bias = normal_floats(slots, random, 2),
                                 elsewhere = normal_floats(rows, random, 3);
        expect_near(head);
        head.a.bias = bias.data();
        expect_near(head);
        head.a.elsewhere = elsewhere.data();
        expect_near(head);
      }
}

/// Highest logits that come late, and far above all before: what was summed shrinks to nothing.
TEST_P(RowAttentionTest, LogitsMayGrowAlongTheSlots) {
  const uint64_t seed = test_seed(42);
  SCOPED_TRACE(seed);
  Random random(seed);
  Head head(40, 900, 64, random, 4);  // logits of some 16 sigma
  for (int64_t j = 0; j < 900; ++j)
    for (int64_t d = 0; d < 64; ++d) head.keys.set(j * 64 + d, head.keys[j * 64 + d] * j / 300);
  expect_near(head, 8);
}

TEST_P(RowAttentionTest, MassElsewhereMayBeNothingOrNearlyAll) {
  Random random(test_seed(43));
  Head head(33, 100, 64, random);
  std::vector<float> elsewhere(33, kMinusInf);
  elsewhere[1] = 60;
  elsewhere[2] = -60;
  head.a.elsewhere = elsewhere.data();
  expect_near(head, 4);
}

TEST_P(RowAttentionTest, SlotsWithoutMassAreNeverRead) {
  Random random(test_seed(44));
  Head head(40, 300, 64, random);
  std::vector<float> bias(300, kMinusInf);
  const Seen nothing = [&] {
    head.a.bias = bias.data();
    return head.run(row_attention);
  }();
  for (float y : nothing.outputs) EXPECT_EQ(y, 0);
  for (float x : nothing.lse) EXPECT_EQ(x, kMinusInf);
  for (float p : nothing.best) EXPECT_EQ(p, 0);
  for (int32_t row : nothing.best_row) EXPECT_EQ(row, 0);
  for (int64_t j = 200; j < 290; ++j) bias[j] = 0.5F;
  expect_near(head);
}

TEST_P(RowAttentionTest, TheFirstOfEqualRowsIsNamed) {
  Random random(test_seed(45));
  Head head(100, 50, 64, random);
  for (int64_t i = 1; i < 100; ++i)
    for (int64_t d = 0; d < 64; ++d) head.queries.set(i * 64 + d, head.queries[d]);
  for (int32_t row : head.run(row_attention).best_row) EXPECT_EQ(row, 0);
}

TEST_P(RowAttentionTest, NotANumberStays) {
  Random random(test_seed(46));
  Head head(40, 50, 64, random);
  head.queries.set(3 * 64, NAN);
  const Seen got = head.run(row_attention);
  EXPECT_TRUE(std::isnan(got.lse[3]));
  EXPECT_TRUE(std::isnan(got.outputs[3 * 64]));
  EXPECT_FALSE(std::isnan(got.lse[4]));
  for (float p : got.best) EXPECT_GT(p, 0);
}

TEST(RowAttentionServesTest, HeadSizesInStepsOf32) {
  if (cpu_path() != CpuPath::amx) GTEST_SKIP() << "no amx path on this machine or in this build";
  EXPECT_TRUE(row_attention_serves(64));
  for (int64_t dim : {0, 16, 48, 80, 288}) EXPECT_FALSE(row_attention_serves(dim));
}

}  // namespace
}  // namespace limbeck
