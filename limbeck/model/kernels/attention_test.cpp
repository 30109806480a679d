#include "limbeck/model/kernels/attention.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace limbeck {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// A part with its storage. Heads lie in any order with unused rows between, which hold NaN.
struct Part {
  Buffer keys, values;
  std::vector<float> bias;
  std::vector<int64_t> begin, length;

  KvPart view() {
    return {keys.data(), values.data(), bias.empty() ? nullptr : bias.data(), begin.data(),
            length.data()};
  }
};

struct Cache {
  DType dtype = DType::bf16;
  int64_t query_heads = 0, kv_heads = 0, dim = 0;
  float scale = 1, softcap = 0;
  std::vector<float> query;
  std::vector<Part> parts;
};

struct Result {
  std::vector<float> output, lse;
  bool operator==(const Result&) const = default;
};

Part make_part(DType dtype, int64_t dim, const std::vector<int64_t>& lengths, bool bias,
               Random& random) {
  int64_t rows = 0;
  Part p{Buffer(dtype, 0), Buffer(dtype, 0), {}, std::vector<int64_t>(lengths.size()), lengths};
  for (size_t i = 0; i < lengths.size(); ++i) {
    const size_t h = lengths.size() - 1 - i;
    rows += static_cast<int64_t>(random.below(3));
    p.begin[h] = rows;
    rows += lengths[h];
  }
  p.keys = Buffer(dtype, rows * dim);
  p.values = Buffer(dtype, rows * dim);
  if (bias) p.bias.assign(static_cast<size_t>(rows), NAN);
  for (int64_t i = 0; i < rows * dim; ++i) {
    p.keys.set(i, NAN);
    p.values.set(i, NAN);
  }
  for (size_t h = 0; h < lengths.size(); ++h)
    for (int64_t row = p.begin[h]; row < p.begin[h] + lengths[h]; ++row) {
      for (int64_t i = 0; i < dim; ++i) {
        p.keys.set(row * dim + i, 1.5 * random.normal());
        p.values.set(row * dim + i, random.normal());
      }
      if (bias)
        p.bias[static_cast<size_t>(row)] =
            random.below(10) == 0 ? -kInf : static_cast<float>(2 * random.normal());
    }
  return p;
}

Cache make_cache(Random& random, DType dtype, int64_t kv_heads, int64_t group, int64_t dim,
                 const std::vector<std::vector<int64_t>>& lengths, bool bias, float softcap = 0) {
  Cache c{.dtype = dtype,
          .query_heads = kv_heads * group,
          .kv_heads = kv_heads,
          .dim = dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(dim)),
          .softcap = softcap,
          .query = normal_floats(kv_heads * group * dim, random, 1.5),
          .parts = {}};
  for (const auto& l : lengths) c.parts.push_back(make_part(dtype, dim, l, bias, random));
  return c;
}

Result attend(Cache& c, void (*kernel)(const DecodeAttention&)) {
  std::vector<KvPart> views;
  for (Part& p : c.parts) views.push_back(p.view());
  Result r{std::vector<float>(c.query.size(), NAN),
           std::vector<float>(static_cast<size_t>(c.query_heads), NAN)};
  kernel({.dtype = c.dtype,
          .query_heads = c.query_heads,
          .kv_heads = c.kv_heads,
          .head_dim = c.dim,
          .scale = c.scale,
          .softcap = c.softcap,
          .query = c.query.data(),
          .parts = views,
          .output = r.output.data(),
          .lse = r.lse.data()});
  return r;
}

/// The weighted mean of |value|, by head and dimension: what rounding errors of the weights
/// multiply. The output itself may be far smaller, when values of both signs cancel, and is no
/// measure then.
Result value_scale(const Cache& c) {
  Cache positive = c;
  for (Part& p : positive.parts)
    for (int64_t i = 0; i < p.values.size(); ++i) p.values.set(i, std::abs(p.values[i]));
  return attend(positive, attention_decode_reference);
}

/// `scale` is value_scale() of the cache that gave `ref`.
void expect_close(const Result& x, const Result& ref, const Result& scale,
                  double tolerance = kF32Tolerance) {
  const size_t dim = ref.output.size() / ref.lse.size();
  for (size_t h = 0; h < ref.lse.size(); ++h) {
    double difference = 0, norm = 0;
    for (size_t i = h * dim; i < (h + 1) * dim; ++i) {
      difference += std::pow(double(x.output[i]) - ref.output[i], 2);
      norm += std::pow(double(scale.output[i]), 2);
    }
    EXPECT_LE(std::sqrt(difference), tolerance * std::sqrt(norm)) << "output of head " << h;
    if (ref.lse[h] == -kInf)
      EXPECT_EQ(x.lse[h], -kInf) << "head " << h;
    else
      EXPECT_NEAR(x.lse[h], ref.lse[h], tolerance * (1 + std::abs(ref.lse[h])));
  }
}

class AttentionDecodeTest : public KernelTest {};
LIMBECK_ALL_PATHS(AttentionDecodeTest);

TEST_P(AttentionDecodeTest, EqualsTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(20240611);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  constexpr int64_t kDims[] = {2, 6, 30, 32, 34, 64, 80, 96, 100, 128, 160, 256, 320, 510, 512};
  constexpr int64_t kGroups[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33};
  for (int round = 0; round < 60; ++round) {
    const int64_t dim = kDims[random.below(std::size(kDims))];
    const int64_t group = kGroups[random.below(std::size(kGroups))];
    const auto kv_heads = static_cast<int64_t>(1 + random.below(4));
    std::vector<std::vector<int64_t>> lengths(random.below(4));
    for (auto& part : lengths)
      for (int64_t h = 0; h < kv_heads; ++h) part.push_back(special_size(random, 700));
    const DType dtype = random.below(2) ? DType::bf16 : DType::f32;
    const float softcap = random.below(3) ? 0.0F : 20.0F;
    Cache c = make_cache(random, dtype, kv_heads, group, dim, lengths, random.below(2), softcap);
    SCOPED_TRACE(fmt::format("round {}: dim {}, group {}, {} KV heads, {} parts, {}", round, dim,
                             group, kv_heads, lengths.size(), dtype_name(dtype)));
    expect_close(attend(c, attention_decode), attend(c, attention_decode_reference),
                 value_scale(c));
    if (HasFailure()) return;
  }
}

/// Shapes that fit tiles, with ends of slices on all sides of a block's border.
TEST_P(AttentionDecodeTest, EqualsTheReferenceForEveryGroup) {
  const uint64_t seed = test_seed(13);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int64_t dim : {32, 64, 96, 128, 256})
    for (int64_t group = 1; group <= 20; ++group) {
      const int64_t border = 64 * static_cast<int64_t>(8 + random.below(8));
      const int64_t slots = border - 2 + static_cast<int64_t>(random.below(5));
      const float softcap = random.below(3) ? 0.0F : 20.0F;
      Cache c = make_cache(random, DType::bf16, 1, group, dim,
                           {{slots}, {special_size(random, 200)}}, random.below(2), softcap);
      SCOPED_TRACE(fmt::format("dim {}, group {}, {} slots", dim, group, slots));
      expect_close(attend(c, attention_decode), attend(c, attention_decode_reference),
                   value_scale(c));
      if (HasFailure()) return;
    }
}

TEST_P(AttentionDecodeTest, EqualsTheReferenceOnLongCaches) {
  Random random(test_seed(5));
  for (auto [dtype, group] : {std::pair{DType::bf16, 3}, {DType::bf16, 7}, {DType::f32, 3}}) {
    Cache c = make_cache(random, dtype, 3, group, 64, {{5000, 0, 8191}, {1, 3, 65}}, true);
    expect_close(attend(c, attention_decode), attend(c, attention_decode_reference),
                 value_scale(c));
  }
}

TEST_P(AttentionDecodeTest, RepeatsBitForBit) {
  Random random(test_seed(6));
  for (int64_t group : {3, 7}) {
    Cache c =
        make_cache(random, DType::bf16, 3, group, 64, {{3000, 700, 1500}, {100, 90, 80}}, true);
    const Result first = attend(c, attention_decode);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(attend(c, attention_decode), first);
  }
}

TEST_P(AttentionDecodeTest, SlotRepeatedNTimesEqualsOneSlotWithBiasLogN) {
  Random random(test_seed(7));
  Cache one = make_cache(random, DType::f32, 1, 4, 64, {{50}}, false);
  Part& p = one.parts[0];
  p.bias.assign(static_cast<size_t>(p.begin[0] + 50), 0.0F);
  std::vector<int64_t> copies(50);
  for (auto& n : copies) n = static_cast<int64_t>(1 + random.below(9));
  Cache many = one;
  const int64_t total = std::accumulate(copies.begin(), copies.end(), int64_t{0});
  many.parts = {make_part(DType::f32, 64, {total}, false, random)};
  for (int64_t j = 0, to = many.parts[0].begin[0]; j < 50; ++j) {
    const int64_t from = p.begin[0] + j;
    const int64_t n = copies[static_cast<size_t>(j)];
    p.bias[static_cast<size_t>(from)] = std::log(static_cast<float>(n));
    for (int64_t k = 0; k < n; ++k, ++to)
      for (int64_t i = 0; i < 64; ++i) {
        many.parts[0].keys.set(to * 64 + i, p.keys[from * 64 + i]);
        many.parts[0].values.set(to * 64 + i, p.values[from * 64 + i]);
      }
  }
  expect_close(attend(one, attention_decode), attend(many, attention_decode), value_scale(many));
}

TEST_P(AttentionDecodeTest, CuttingPartsAnywhereChangesNothing) {
  Random random(test_seed(8));
  Cache whole = make_cache(random, DType::bf16, 2, 3, 64, {{600, 333}}, true);
  const Result expected = attend(whole, attention_decode);
  for (int round = 0; round < 10; ++round) {
    Cache cut = whole;
    cut.parts.clear();
    std::vector<int64_t> at = {0, 0};
    for (int piece = 0; piece < 4; ++piece) {
      Part part = whole.parts[0];
      for (size_t h = 0; h < 2; ++h) {
        const int64_t left = whole.parts[0].length[h] - at[h];
        part.begin[h] += at[h];
        part.length[h] = piece == 3 ? left : static_cast<int64_t>(random.below(left + 1));
        at[h] += part.length[h];
      }
      cut.parts.push_back(std::move(part));
    }
    expect_close(attend(cut, attention_decode), expected, value_scale(whole));
  }
}

TEST_P(AttentionDecodeTest, HeadWithoutSlotsGivesZero) {
  Random random(test_seed(9));
  Cache c = make_cache(random, DType::bf16, 3, 2, 64, {{10, 0, 5}, {3, 0, 0}}, true);
  const Result r = attend(c, attention_decode);
  for (size_t h : {2, 3}) {
    EXPECT_EQ(r.lse[h], -kInf);
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(r.output[h * 64 + i], 0.0F);
  }
  EXPECT_TRUE(std::isfinite(r.lse[0]) && std::isfinite(r.lse[5]));
  Cache none = make_cache(random, DType::bf16, 3, 2, 64, {}, false);
  EXPECT_EQ(attend(none, attention_decode).lse, std::vector<float>(6, -kInf));
}

TEST_P(AttentionDecodeTest, SlotsWithBiasMinusInfinityDoNotExist) {
  Random random(test_seed(10));
  Cache c = make_cache(random, DType::f32, 1, 3, 64, {{300}}, true);
  Part& p = c.parts[0];
  const auto begin = static_cast<size_t>(p.begin[0]);
  for (size_t j = 100; j < 300; ++j) p.bias[begin + j] = -kInf;
  Cache shorter = c;
  shorter.parts[0].length[0] = 100;
  expect_close(attend(c, attention_decode), attend(shorter, attention_decode),
               value_scale(shorter));
  for (size_t j = 0; j < 100; ++j) p.bias[begin + j] = -kInf;
  const Result r = attend(c, attention_decode);
  EXPECT_EQ(r.lse, std::vector<float>(3, -kInf));
  EXPECT_EQ(r.output, std::vector<float>(3 * 64, 0.0F));
}

TEST_P(AttentionDecodeTest, BlocksOfSlotsWithBiasMinusInfinityDoNotExist) {
  Random random(test_seed(14));
  for (int64_t group : {8, 16}) {
    Cache c = make_cache(random, DType::bf16, 1, group, 64, {{1000}}, true);
    Part& p = c.parts[0];
    const auto bias = p.bias.begin() + p.begin[0];
    std::fill(bias, bias + 300, -kInf);
    std::fill(bias + 500, bias + 900, -kInf);
    expect_close(attend(c, attention_decode), attend(c, attention_decode_reference),
                 value_scale(c));
    std::fill(bias, bias + 1000, -kInf);
    const Result r = attend(c, attention_decode);
    EXPECT_EQ(r.lse, std::vector<float>(static_cast<size_t>(group), -kInf));
    EXPECT_EQ(r.output, std::vector<float>(static_cast<size_t>(group * 64), 0.0F));
  }
}

TEST_P(AttentionDecodeTest, LogitsOfAllSizesKeepTheirDigits) {
  Random random(test_seed(15));
  for (float factor : {1e-30F, 1e-3F, 40.0F}) {
    Cache c = make_cache(random, DType::bf16, 1, 8, 64, {{1000}}, true);
    for (float& q : c.query) q *= factor;
    expect_close(attend(c, attention_decode), attend(c, attention_decode_reference), value_scale(c),
                 factor > 1 ? 5e-5 : kF32Tolerance);
  }
}

TEST_P(AttentionDecodeTest, ExtremeLogitsStayFinite) {
  Random random(test_seed(11));
  for (float bias : {0.0F, -1e4F, 1e4F}) {
    Cache c = make_cache(random, DType::f32, 1, 2, 64, {{200}}, false);
    for (float& q : c.query) q *= 40;
    c.parts[0].bias.assign(static_cast<size_t>(c.parts[0].begin[0] + 200), bias);
    // A float32 logit of 1e4 is rounded by up to 5e-4, which is then the relative error of a
    // weight.
    expect_close(attend(c, attention_decode), attend(c, attention_decode_reference), value_scale(c),
                 bias == 0 ? 5e-5 : 1e-3);
  }
}

TEST_P(AttentionDecodeTest, NaNInTheQueryIsNotHidden) {
  Random random(test_seed(12));
  for (int64_t group : {2, 7, 16}) {
    Cache c = make_cache(random, DType::bf16, 1, group, 64, {{700}}, false);
    c.query[3] = NAN;
    const Result r = attend(c, attention_decode);
    EXPECT_TRUE(std::isnan(r.output[0]));
    for (size_t i = 64; i < r.output.size(); ++i) EXPECT_TRUE(std::isfinite(r.output[i]));
  }
}

TEST(AttentionDecodeCheckTest, RefusesImpossibleShapes) {
  const auto text_of = [](const DecodeAttention& a) -> std::string {
    try {
      attention_decode(a);
    } catch (const InvalidArgument& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(text_of({.query_heads = 7, .kv_heads = 2, .head_dim = 64}),
            "[attention_decode] query heads must be a multiple of KV heads; found 7 and 2");
  EXPECT_EQ(text_of({.query_heads = 4, .kv_heads = 2, .head_dim = 63}),
            "[attention_decode] head_dim must be even and in [2, 512]; found 63");
  EXPECT_EQ(text_of({.dtype = DType::f16, .query_heads = 4, .kv_heads = 2, .head_dim = 64}),
            "[attention_decode] keys and values must be BF16 or F32; found F16");
}

}  // namespace
}  // namespace limbeck
