#include "limbeck/model/kernels/rowwise.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

#include <limits>

namespace limbeck {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class RowwiseTest : public KernelTest {};
LIMBECK_FLOAT_PATHS(RowwiseTest);

/// float32: relative error of the whole; bfloat16: at most one step apart, because values next to a
/// rounding border may fall on either side. Near 0, where steps are tiny, an absolute bound holds.
void expect_close(const Buffer& x, const Buffer& ref) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < ref.size(); ++i) {
    difference += (x[i] - ref[i]) * (x[i] - ref[i]);
    norm += ref[i] * ref[i];
    if (ref.type() == DType::bf16 && std::abs(x[i] - ref[i]) > 1e-6) {
      EXPECT_LE(bf16_steps(x[i], ref[i]), 1) << "element " << i << ": " << x[i] << ", " << ref[i];
    }
  }
  const double bound = ref.type() == DType::bf16 ? 4e-3 : kF32Tolerance;
  EXPECT_TRUE(std::sqrt(difference) <= bound * std::sqrt(norm)) << difference << " of " << norm;
}

DType random_dtype(Random& random) { return random.below(2) ? DType::bf16 : DType::f32; }

TEST_P(RowwiseTest, AddNormEqualsTheReference) {
  const uint64_t seed = test_seed(201);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 80; ++round) {
    const int64_t rows = special_size(random, 129), width = special_size(random, 800);
    const DType dtype = random_dtype(random);
    Buffer delta = Buffer::normal(dtype, rows * width, random), out(dtype, rows * width);
    Buffer expected = out;
    const auto weight = normal_floats(width, random);
    auto residual = normal_floats(rows * width, random);
    auto residual_expected = residual;
    AddNorm a{.rows = rows,
              .width = width,
              .residual = residual.data(),
              .delta = random.below(2) ? delta.data() : nullptr,
              .weight = weight.data(),
              .weight_offset = static_cast<float>(random.below(2)),
              .eps = 1e-5F,
              .dtype = dtype,
              .out = out.data()};
    add_norm(a);
    a.residual = residual_expected.data();
    a.out = expected.data();
    add_norm_reference(a);
    SCOPED_TRACE(fmt::format("round {}: {} x {}", round, rows, width));
    expect_close(out, expected);
    EXPECT_EQ(residual, residual_expected);
  }
}

TEST_P(RowwiseTest, SplitRopeEqualsTheReference) {
  const uint64_t seed = test_seed(202);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = special_size(random, 65), kv_heads = 1 + int64_t(random.below(3));
    const int64_t query_heads = kv_heads * (1 + int64_t(random.below(4)));
    const int64_t d = 2 * (1 + int64_t(random.below(80))), heads = query_heads + 2 * kv_heads;
    const DType dtype = random_dtype(random);
    Buffer qkv = Buffer::normal(dtype, rows * heads * d, random);
    const auto cos = normal_floats(rows * d / 2, random), sin = normal_floats(rows * d / 2, random);
    const auto q_norm = normal_floats(d, random), k_norm = normal_floats(d, random);
    const bool head_major = random.below(2), norm = random.below(2), rope = random.below(4);
    SplitRope a{.rows = rows,
                .query_heads = query_heads,
                .kv_heads = kv_heads,
                .head_dim = d,
                .dtype = dtype,
                .qkv = qkv.data(),
                .cos = rope ? cos.data() : nullptr,
                .sin = rope ? sin.data() : nullptr,
                .q_norm = norm ? q_norm.data() : nullptr,
                .k_norm = norm ? k_norm.data() : nullptr,
                .norm_offset = norm ? 1.0F : 0.0F};
    a.q_head_stride = a.kv_head_stride = head_major ? (rows + 3) * d : d;
    a.q_row_stride = head_major ? d : query_heads * d;
    a.kv_row_stride = head_major ? d : kv_heads * d;
    const auto run = [&](void (*kernel)(const SplitRope&)) {
      std::vector<Buffer> out;
      for (int64_t h : {query_heads, kv_heads, kv_heads})
        out.emplace_back(dtype, h * (rows + 3) * d);
      a.q = out[0].data();
      a.k = out[1].data();
      a.v = out[2].data();
      kernel(a);
      return out;
    };
    const auto fast = run(split_rope), expected = run(split_rope_reference);
    SCOPED_TRACE(
        fmt::format("round {}: {} rows, {}+{} heads of {}", round, rows, query_heads, kv_heads, d));
    for (size_t i = 0; i < 3; ++i) expect_close(fast[i], expected[i]);
  }
}

TEST_P(RowwiseTest, GatedActivationEqualsTheReference) {
  const uint64_t seed = test_seed(203);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = special_size(random, 65), width = special_size(random, 1200);
    const DType dtype = random_dtype(random);
    Buffer gate_up = Buffer::normal(dtype, rows * 2 * width, random, 4.0);
    Buffer out(dtype, rows * width), expected(dtype, rows * width);
    GatedActivation a{.rows = rows,
                      .width = width,
                      .dtype = dtype,
                      .gate_up = gate_up.data(),
                      .out = out.data(),
                      .activation = random.below(2) ? Activation::silu : Activation::gelu_tanh};
    gated_activation(a);
    a.out = expected.data();
    gated_activation_reference(a);
    SCOPED_TRACE(fmt::format("round {}: {} x {}", round, rows, width));
    expect_close(out, expected);
  }
}

TEST_P(RowwiseTest, ActivationsAreFiniteForExtremeGates) {
  const std::vector<float> gates = {-1e30F, -1000, -100, -88, -20, 0, 20, 88, 1000, 1e30F};
  const auto n = static_cast<int64_t>(gates.size());
  for (auto act : {Activation::silu, Activation::gelu_tanh}) {
    std::vector<float> gate_up = gates, out(gates.size());
    gate_up.resize(2 * gates.size(), 1.0F);
    gated_activation({.rows = 1,
                      .width = n,
                      .dtype = DType::f32,
                      .gate_up = gate_up.data(),
                      .out = out.data(),
                      .activation = act});
    for (size_t i = 0; i < gates.size(); ++i) {
      const float limit = gates[i] >= 20 ? gates[i] : 0.0F;
      if (std::abs(gates[i]) < 20 || gates[i] == -20) continue;
      EXPECT_NEAR(out[i], limit, 1e-6 * std::abs(limit) + 1e-7) << gates[i];
    }
  }
}

TEST_P(RowwiseTest, MergeAttentionEqualsTheReference) {
  const uint64_t seed = test_seed(204);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = special_size(random, 129), width = special_size(random, 600);
    const DType dtype = random_dtype(random);
    Buffer part = Buffer::normal(dtype, rows * width, random);
    auto acc = normal_floats(rows * width, random);
    auto acc_lse = normal_floats(rows, random, 5.0), part_lse = normal_floats(rows, random, 5.0);
    for (int64_t r = 0; r < rows; ++r) {
      const auto at = static_cast<size_t>(r);
      if (random.below(4) == 0) part_lse[at] = -kInf;
      if (random.below(4) == 0) {
        acc_lse[at] = -kInf;
        std::fill_n(acc.begin() + r * width, width, 0.0F);
      }
    }
    auto expected = acc, expected_lse = acc_lse;
    merge_attention(rows, width, acc.data(), acc_lse.data(), part.data(), dtype, part_lse.data());
    merge_attention_reference(rows, width, expected.data(), expected_lse.data(), part.data(), dtype,
                              part_lse.data());
    SCOPED_TRACE(fmt::format("round {}: {} x {}", round, rows, width));
    EXPECT_LT(relative_error(acc.data(), expected.data(), rows * width), kF32Tolerance);
    for (size_t r = 0; r < acc_lse.size(); ++r)
      EXPECT_TRUE(acc_lse[r] == expected_lse[r] || std::abs(acc_lse[r] - expected_lse[r]) < 1e-5);
  }
}

TEST_P(RowwiseTest, MergingEmptyPartsIgnoresWhatTheyHold) {
  std::vector<float> acc = {NAN, NAN, 1, 2, 0, 0}, lse = {-kInf, 0.5F, -kInf};
  const std::vector<float> part = {3, 4, NAN, NAN, NAN, NAN}, part_lse = {1.5F, -kInf, -kInf};
  merge_attention(3, 2, acc.data(), lse.data(), part.data(), DType::f32, part_lse.data());
  EXPECT_EQ(acc, (std::vector<float>{3, 4, 1, 2, 0, 0}));
  EXPECT_EQ(lse, (std::vector<float>{1.5F, 0.5F, -kInf}));
}

TEST(RowwiseCheckTest, RefusesOtherTypesAndOddHeads) {
  try {
    add_norm({.dtype = DType::f16});
    FAIL();
  } catch (const InvalidArgument& e) {
    EXPECT_STREQ(e.what(), "[add_norm] rows must be BF16 or F32; found F16");
  }
  const float angle = 0;
  EXPECT_THROW(split_rope({.head_dim = 3, .cos = &angle, .sin = &angle}), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
