#include "limbeck/model/kernels/linear_block.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"
#include "limbeck/model/kernels/linear.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

class LinearBlockTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(Avx2, LinearBlockTest, testing::Values(CpuPath::avx2), cpu_path_test_name);

TEST_P(LinearBlockTest, EqualsTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(131);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  ASSERT_TRUE(linear_block_serves());
  for (int round = 0; round < 60; ++round) {
    const int64_t in = special_size(random, 1200), features = special_size(random, 200),
                  rows = special_size(random, round % 10 == 0 ? 600 : 80);
    const DType dtype = random.below(2) ? DType::bf16 : DType::f32;
    Buffer weight = Buffer::normal(dtype, features * in, random),
           bias = Buffer::normal(dtype, features, random);
    const std::vector<float> x = normal_floats(rows * in, random);
    LinearBlock a{.dtype = dtype,
                  .weight = weight.data(),
                  .bias = random.below(2) ? bias.data() : nullptr,
                  .in_features = in,
                  .out_features = features,
                  .rows = rows,
                  .x = x.data(),
                  .out_dtype = DType::f32,
                  .out = nullptr};
    SCOPED_TRACE(fmt::format("round {}: {} -> {}, {} rows, {}, bias {}", round, in, features, rows,
                             dtype_name(dtype), a.bias != nullptr));
    std::vector<float> fast(rows * features, -1.0F), reference = fast;
    a.out = fast.data();
    linear_block(a);
    linear_rows_reference({.dtype = dtype,
                           .weight = a.weight,
                           .bias = a.bias,
                           .in_features = in,
                           .out_features = features,
                           .rows = rows,
                           .x = a.x,
                           .out = reference.data()});
    EXPECT_LT(relative_error(fast.data(), reference.data(), rows * features), kF32Tolerance);
    // In bf16: the f32 result, rounded once.
    std::vector<Bf16> rounded(rows * features);
    a.out_dtype = DType::bf16;
    a.out = rounded.data();
    linear_block(a);
    for (int64_t i = 0; i < rows * features; ++i)
      ASSERT_EQ(rounded[i].bits, to_bf16(fast[i]).bits) << i;
  }
}

}  // namespace
}  // namespace limbeck
