#include "limbeck/model/kernels/softmax_block.h"

#include "limbeck/model/kernels/kernel_testing.h"

#include <limits>

namespace limbeck {
namespace {

/// One block with its own storage.
struct Case {
  Case(int64_t rows, int64_t columns, bool biased, Random& random)
      : logits(rows * stride_of(columns)),
        bias(columns),
        best(columns, 0.02F),
        lse(rows),
        best_row(columns, -1),
        inverse(rows),
        weights(rows * stride_of(columns), Bf16{0xffff}) {
    for (float& x : logits) x = static_cast<float>(8 * random.normal());
    // Nobody writes what lies between the columns and the stride.
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = columns; j < stride_of(columns); ++j)
        logits[r * stride_of(columns) + j] = std::numeric_limits<float>::quiet_NaN();
    for (float& x : bias) x = static_cast<float>(random.normal());
    block.rows = rows;
    block.columns = columns;
    block.stride = stride_of(columns);
    block.scale = 0.25F;
    block.first_row = 5;
    elsewhere.resize(rows);
    for (float& x : elsewhere) x = static_cast<float>(random.normal());
    this->biased = biased;
  }
  static int64_t stride_of(int64_t columns) { return (columns + 31) / 32 * 32; }
  const SoftmaxBlock& view() {
    block.logits = logits.data();
    block.elsewhere = biased ? elsewhere.data() : nullptr;
    block.bias = biased ? bias.data() : nullptr;
    block.weights = weights.data();
    block.inverse = inverse.data();
    block.lse = lse.data();
    block.best = best.data();
    block.best_row = best_row.data();
    return block;
  }
  std::vector<float> logits, bias, best, lse, elsewhere;
  std::vector<int32_t> best_row;
  std::vector<float> inverse;
  std::vector<Bf16> weights;
  SoftmaxBlock block;
  bool biased = false;
};

class SoftmaxBlockTest : public KernelTest {};
LIMBECK_FLOAT_PATHS(SoftmaxBlockTest);

TEST_P(SoftmaxBlockTest, EqualsTheReference) {
  const uint64_t seed = test_seed(31);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int64_t columns : {1, 15, 16, 17, 32, 100, 257})
    for (bool biased : {false, true}) {
      const Case start(7, columns, biased, random);
      Case want = start;
      softmax_block_reference(want.view());
      Case got = start;
      softmax_block(got.view());
      for (int64_t r = 0; r < 7; ++r) {
        EXPECT_NEAR(got.lse[r], want.lse[r], 1e-5);
        EXPECT_NEAR(got.inverse[r], want.inverse[r], 1e-6);
      }
      for (int64_t j = 0; j < columns; ++j) {
        EXPECT_NEAR(got.best[j], want.best[j], 1e-6);
        EXPECT_EQ(got.best_row[j], want.best_row[j]);
      }
      const int64_t stride = Case::stride_of(columns);
      for (int64_t r = 0; r < 7; ++r)
        for (int64_t j = 0; j < stride; ++j) {
          const float x = to_float(got.weights[r * stride + j]);
          if (j >= columns)
            EXPECT_EQ(x, 0);
          else
            EXPECT_NEAR(x, to_float(want.weights[r * stride + j]), 0.005F);
        }
    }
}

/// What a row does not see counts as if it were not there.
TEST_P(SoftmaxBlockTest, RowsMaySeeFewerColumns) {
  Random random(3);
  const std::vector<int64_t> visible = {1, 16, 31, 32, 33, 64, 70};
  const Case start(7, 70, true, random);
  Case got = start;
  got.view();
  got.block.best = nullptr;
  got.block.visible = visible.data();
  softmax_block(got.block);
  for (int64_t r = 0; r < 7; ++r) {
    Case want = start;
    want.view();
    want.block.best = nullptr;
    want.block.columns = visible[r];
    softmax_block_reference(want.block);
    EXPECT_NEAR(got.lse[r], want.lse[r], 1e-5);
    for (int64_t j = 0; j < want.block.stride; ++j)
      EXPECT_NEAR(to_float(got.weights[r * want.block.stride + j]),
                  to_float(want.weights[r * want.block.stride + j]), 0.005F);
  }
}

TEST_P(SoftmaxBlockTest, ARowThatSeesNothingIsZero) {
  Random random(1);
  Case c(2, 20, true, random);
  std::fill(c.bias.begin(), c.bias.end(), -std::numeric_limits<float>::infinity());
  softmax_block(c.view());
  EXPECT_EQ(c.lse[0], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(c.inverse[0], 0);
  for (const Bf16& p : c.weights) EXPECT_EQ(to_float(p), 0);
  EXPECT_EQ(c.best_row[0], -1);
}

/// Logits whose distance from the highest is beyond what f32 can hold as a power of two.
TEST_P(SoftmaxBlockTest, FarBelowTheHighestIsZeroAndNotANumberStays) {
  Random random(7);
  Case c(1, 40, false, random);
  c.view();
  c.block.scale = 1.0F;
  for (int64_t j = 0; j < 40; ++j) c.logits[j] = -static_cast<float>(j * j * j);
  Case want = c;
  softmax_block_reference(want.view());
  softmax_block(c.view());
  EXPECT_NEAR(c.lse[0], want.lse[0], 1e-6);
  EXPECT_EQ(to_float(c.weights[39]), 0);
  Case broken(1, 40, false, random);
  broken.logits[21] = std::numeric_limits<float>::quiet_NaN();
  softmax_block(broken.view());
  EXPECT_FALSE(broken.lse[0] > -1e30F && broken.inverse[0] > 0 && broken.inverse[0] < 1e30F);
}

}  // namespace
}  // namespace limbeck
