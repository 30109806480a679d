#include "limbeck/model/kernels/linear.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

class LinearRowsTest : public KernelTest {};
LIMBECK_FLOAT_PATHS(LinearRowsTest);

/// Operands of one product; out starts with numbers so that accumulate shows.
struct Product {
  LinearRows args;
  Buffer weight, bias;
  std::vector<float> x, out;

  Product(DType dtype, int64_t in, int64_t out_features, int64_t weight_rows, int64_t rows,
          Random& random)
      : weight(Buffer::normal(dtype, weight_rows * in, random)),
        bias(Buffer::normal(dtype, out_features, random)),
        x(normal_floats(rows * in, random)),
        out(normal_floats(rows * out_features, random)) {
    args = {.dtype = dtype,
            .weight = weight.data(),
            .bias = nullptr,
            .in_features = in,
            .out_features = out_features,
            .rows = rows,
            .x = x.data(),
            .out = nullptr,
            .accumulate = false};
  }
  template <class F>
  std::vector<float> run(F&& f) {
    std::vector<float> result = out;
    args.out = result.data();
    f(args);
    return result;
  }
};

TEST_P(LinearRowsTest, EqualsTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(101);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 120; ++round) {
    const int64_t in = special_size(random, 700), features = special_size(random, 300);
    const auto rows = static_cast<int64_t>(1 + random.below(kLinearRowsMax));
    const DType dtype = random.below(2) ? DType::bf16 : DType::f32;
    Product p(dtype, in, features, features, rows, random);
    p.args.accumulate = random.below(2);
    if (random.below(2)) p.args.bias = p.bias.data();
    SCOPED_TRACE(fmt::format("round {}: {} -> {}, {} rows, {}, bias {}, accumulate {}", round, in,
                             features, rows, dtype_name(dtype), p.args.bias != nullptr,
                             p.args.accumulate));
    const auto fast = p.run(linear_rows), reference = p.run(linear_rows_reference);
    EXPECT_LT(relative_error(fast.data(), reference.data(), rows * features), kF32Tolerance);
  }
}

TEST_P(LinearRowsTest, GatedFormEqualsTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(102);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 80; ++round) {
    const int64_t in = special_size(random, 700), features = special_size(random, 200);
    const auto rows = static_cast<int64_t>(1 + random.below(kLinearRowsMax));
    const DType dtype = random.below(2) ? DType::bf16 : DType::f32;
    const auto act = random.below(2) ? Activation::silu : Activation::gelu_tanh;
    Product p(dtype, in, features, 2 * features, rows, random);
    for (float& x : p.x) x *= 0.1F;
    SCOPED_TRACE(fmt::format("round {}: {} -> {}, {} rows, {}", round, in, features, rows,
                             dtype_name(dtype)));
    const auto fast = p.run([&](const LinearRows& a) { gated_rows(a, act); });
    const auto reference = p.run([&](const LinearRows& a) { gated_rows_reference(a, act); });
    EXPECT_LT(relative_error(fast.data(), reference.data(), rows * features), kF32Tolerance);
  }
}

TEST_P(LinearRowsTest, LargeProductsAreSplitOverThreadsAndRepeatBitForBit) {
  Random random(test_seed(103));
  for (DType dtype : {DType::bf16, DType::f32}) {
    Product p(dtype, 577, 1037, 1037, 3, random);
    const auto first = p.run(linear_rows), reference = p.run(linear_rows_reference);
    EXPECT_LT(relative_error(first.data(), reference.data(), 3 * 1037), kF32Tolerance);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(p.run(linear_rows), first);
  }
}

TEST_P(LinearRowsTest, ARowsResultDoesNotDependOnItsNeighbours) {
  // What makes decoding a batch give the same tokens as decoding its sequences alone.
  Random random(test_seed(104));
  // The larger one is shared out to threads.
  for (const auto& [in, features] : {std::pair<int64_t, int64_t>{580, 83}, {576, 384}})
    for (DType dtype : {DType::bf16, DType::f32}) {
      Product all(dtype, in, features, 2 * features, kLinearRowsMax, random);
      const auto gated = [](const LinearRows& a) { gated_rows(a, Activation::silu); };
      const auto expected = all.run(linear_rows), expected_gated = all.run(gated);
      for (int64_t rows = 1; rows < kLinearRowsMax; ++rows) {
        all.args.rows = rows;
        const auto some = all.run(linear_rows), some_gated = all.run(gated);
        EXPECT_TRUE(std::equal(some.begin(), some.begin() + rows * features, expected.begin()))
            << rows;
        EXPECT_TRUE(std::equal(some_gated.begin(), some_gated.begin() + rows * features,
                               expected_gated.begin()))
            << rows;
      }
      all.args.rows = kLinearRowsMax;
    }
}

TEST(LinearRowsCheckTest, RefusesTooManyRowsAndOtherTypes) {
  const auto text_of = [](const LinearRows& a) -> std::string {
    try {
      linear_rows(a);
    } catch (const InvalidArgument& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(text_of({.rows = 9}), "[linear_rows] rows must be in [1, 8]; found 9");
  EXPECT_EQ(text_of({.dtype = DType::i8}), "[linear_rows] weights must be BF16 or F32; found I8");
}

}  // namespace
}  // namespace limbeck
