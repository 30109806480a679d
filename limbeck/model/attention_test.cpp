#include "limbeck/model/attention.h"

#include "limbeck/model/kernels/attention.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

#include <limits>

namespace limbeck {
namespace {

using test::max_difference;
using test::random_tensor;

// f32: rounding of logits of size 10 and of a softmax over a few dozen slots. bf16: torch's flash
// kernel rounds probabilities and output, and takes an exponential of fewer digits.
constexpr double kFloatTolerance = 1e-5, kBfloatTolerance = 3e-2;
constexpr double kFloatLseTolerance = 1e-5, kBfloatLseTolerance = 3e-4;

struct Drawn {
  LayerCache cache;
  AttentionInput input;
};

at::Tensor poisoned(std::vector<int64_t> shape, at::ScalarType type) {
  return at::full(shape, std::numeric_limits<float>::quiet_NaN(), type);
}

/// New rows of random queries; their keys and values behind the tail or in tensors of their own.
void draw_rows(Drawn& d, Random& random, int64_t rows, at::ScalarType type, bool in_tail) {
  const int64_t heads = 1 + static_cast<int64_t>(random.below(3)),
                group = 1 + static_cast<int64_t>(random.below(5));
  const int64_t dim = 8 * (1 + static_cast<int64_t>(random.below(4)));
  LayerTail& tail = d.cache.tail;
  tail.length = random.below(3) == 0 ? 0 : static_cast<int64_t>(random.below(40));
  tail.first_position = static_cast<int64_t>(random.below(50));
  const int64_t capacity = tail.length + rows + 3;
  tail.keys = poisoned({heads, capacity, dim}, type);
  tail.values = poisoned({heads, capacity, dim}, type);
  for (const at::Tensor& t : {tail.keys, tail.values})
    t.narrow(1, 0, tail.length).copy_(random_tensor({heads, tail.length, dim}, random));
  d.input.queries = random_tensor({heads * group, rows, dim}, random, type);
  d.input.keys =
      in_tail ? tail.keys.narrow(1, tail.length, rows) : at::empty({heads, rows, dim}, type);
  d.input.values =
      in_tail ? tail.values.narrow(1, tail.length, rows) : at::empty({heads, rows, dim}, type);
  d.input.keys.copy_(random_tensor({heads, rows, dim}, random));
  d.input.values.copy_(random_tensor({heads, rows, dim}, random));
  d.input.scale = 0.5 + random.uniform() / 2;
}

/// A full layer: up to three segments, ragged with empty heads or uniform, with and without bias.
Drawn draw_full(Random& random, int64_t rows, at::ScalarType type) {
  Drawn d;
  draw_rows(d, random, rows, type, random.below(2) == 0);
  const auto heads = d.input.keys.size(0), dim = d.input.keys.size(2);
  for (uint64_t i = random.below(4); i > 0; --i) {
    std::vector<int64_t> slots(heads, static_cast<int64_t>(random.below(20)));
    if (random.below(3) > 0)
      for (int64_t& n : slots)
        n = random.below(3) == 0 ? 0 : static_cast<int64_t>(random.below(30));
    d.cache.segments.push_back(std::make_shared<LayerSegment>(
        test::random_segment(slots, dim, random.below(2) == 0, random, type)));
  }
  return d;
}

/// A ring filled by a KvCache in random steps, so that it may have wrapped.
Drawn draw_ring(Random& random, int64_t rows, at::ScalarType type) {
  Drawn d;
  const int64_t heads = 1 + static_cast<int64_t>(random.below(3)),
                group = 1 + static_cast<int64_t>(random.below(5));
  const int64_t dim = 8 * (1 + static_cast<int64_t>(random.below(4)));
  const LayerKind kind{LayerKind::Type::ring, 1 + static_cast<int64_t>(random.below(20))};
  KvCache cache(CacheShape{heads, dim, type == at::kFloat ? DType::f32 : DType::bf16, {kind}});
  for (uint64_t steps = random.below(6); steps > 0; --steps) {
    const auto n = static_cast<int64_t>(1 + random.below(25));
    cache.commit(std::vector<int32_t>(n, 0), {{random_tensor({heads, n, dim}, random, type),
                                               random_tensor({heads, n, dim}, random, type)}});
  }
  d.cache = cache.layer(0);
  d.input.queries = random_tensor({heads * group, rows, dim}, random, type);
  d.input.keys = random_tensor({heads, rows, dim}, random, type);
  d.input.values = random_tensor({heads, rows, dim}, random, type);
  d.input.scale = 0.7;
  return d;
}

void expect_wide_is_plain(Drawn d) {
  d.input.cache = &d.cache;
  const at::Tensor& q = d.input.queries;
  at::Tensor plain_lse, lse;
  const at::Tensor want = attention_plain(d.input, &plain_lse);
  at::Tensor out = poisoned({q.size(1), q.size(0) * q.size(2)}, q.scalar_type());
  attention_wide(d.input, out, &lse);
  const bool exact = q.scalar_type() == at::kFloat;
  EXPECT_LT(max_difference(out, want), exact ? kFloatTolerance : kBfloatTolerance);
  EXPECT_LT(max_difference(lse, plain_lse), exact ? kFloatLseTolerance : kBfloatLseTolerance);
}

/// One segment apart from the rest, then joined: as attending to all at once.
void expect_parts_join(Drawn d, at::ScalarType part_type) {
  if (d.cache.segments.empty()) return;
  const LayerSegmentPtr apart = d.cache.segments.back();
  d.input.cache = &d.cache;
  at::Tensor plain_lse, lse;
  const at::Tensor want = attention_plain(d.input, &plain_lse), &q = d.input.queries;
  d.cache.segments.pop_back();
  at::Tensor out = poisoned({q.size(1), q.size(0) * q.size(2)}, q.scalar_type());
  attention_wide(d.input, out, &lse);
  AttentionPart part = attention_over(*apart, q, d.input.scale);
  part.out = part.out.to(part_type);
  attention_join(out, lse, part);
  const bool exact = q.scalar_type() == at::kFloat && part_type == at::kFloat;
  // bf16 is rounded once more than by attention over everything.
  EXPECT_LT(max_difference(out, want), exact ? kFloatTolerance : 2 * kBfloatTolerance);
  EXPECT_LT(max_difference(at::logaddexp(lse, part.lse), plain_lse),
            q.scalar_type() == at::kFloat ? kFloatLseTolerance : kBfloatLseTolerance);
}

void expect_one_is_plain(Drawn d) {
  d.input.cache = &d.cache;
  d.input.queries = d.input.queries.to(at::kFloat);
  const at::Tensor& q = d.input.queries;
  at::Tensor plain_lse, lse;
  const at::Tensor want = attention_plain(d.input, &plain_lse);
  at::Tensor out = poisoned({1, q.size(0) * q.size(2)}, at::kFloat);
  attention_one(d.input, out, &lse);
  EXPECT_LT(max_difference(out, want), kFloatTolerance);
  EXPECT_LT(max_difference(lse, plain_lse), kFloatLseTolerance);
}

class AttentionTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(AttentionTest, WideIsPlainOverSegmentsTailAndOwnRows) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto rows = static_cast<int64_t>(1 + random.below(40));
    expect_wide_is_plain(draw_full(random, rows, GetParam()));
  }
}

TEST_P(AttentionTest, WideIsPlainOverRingsThatHaveWrapped) {
  for (uint64_t seed = 100; seed < 160; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto rows = static_cast<int64_t>(1 + random.below(40));
    expect_wide_is_plain(draw_ring(random, rows, GetParam()));
  }
}

TEST_P(AttentionTest, OneIsPlainOverSegmentsTailAndOwnRow) {
  for (uint64_t seed = 200; seed < 260; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    expect_one_is_plain(draw_full(random, 1, GetParam()));
  }
}

TEST_P(AttentionTest, OneIsPlainOverRingsThatHaveWrapped) {
  for (uint64_t seed = 300; seed < 360; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    expect_one_is_plain(draw_ring(random, 1, GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionTest, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

/// The formula in f64 loops, for the plain path itself: two heads, one segment, bias, tail, causal
/// rows.
TEST(AttentionPartTest, ASegmentApartJoinsToTheWhole) {
  Random random(31);
  for (int trial = 0; trial < 40; ++trial)
    for (const auto type : {at::kFloat, at::kBFloat16})
      for (const auto part : {at::kFloat, at::kBFloat16}) {
        SCOPED_TRACE(trial);
        expect_parts_join(draw_full(random, 2 + static_cast<int64_t>(random.below(30)), type),
                          part);
      }
}

TEST(AttentionPlainTest, IsTheFormula) {
  Random random(7);
  Drawn d;
  d.cache.segments.push_back(
      std::make_shared<LayerSegment>(test::random_segment({3, 0}, 8, true, random)));
  d.cache.tail = {random_tensor({2, 4, 8}, random), random_tensor({2, 4, 8}, random), 2, 9};
  d.input = {&d.cache, random_tensor({4, 3, 8}, random), random_tensor({2, 3, 8}, random),
             random_tensor({2, 3, 8}, random), 0.6};
  at::Tensor lse;
  const at::Tensor out = attention_plain(d.input, &lse);
  const LayerSegment& s = *d.cache.segments[0];
  for (int64_t q = 0; q < 4; ++q)
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t h = q / 2;
      at::Tensor sum = at::zeros({8}, at::kDouble);
      double mass = 0;
      const auto add = [&](const at::Tensor& k, const at::Tensor& v, double bias) {
        const double p = std::exp(0.6 * d.input.queries[q][i].dot(k).item<double>() + bias);
        mass += p;
        sum += p * v.to(at::kDouble);
      };
      for (int64_t r = s.offsets[h]; r < s.offsets[h + 1]; ++r)
        add(s.keys[r], s.values[r], s.bias[r].item<double>());
      for (int64_t r = 0; r < 2; ++r) add(d.cache.tail.keys[h][r], d.cache.tail.values[h][r], 0);
      for (int64_t r = 0; r <= i; ++r) add(d.input.keys[h][r], d.input.values[h][r], 0);
      EXPECT_LT(max_difference(out[i].narrow(0, q * 8, 8), sum / mass), 1e-6);
      EXPECT_NEAR(lse[q][i].item<double>(), std::log(mass), 1e-6);
    }
}

TEST(AttentionOverTest, AHeadWhoseBiasHidesAllHasNoMass) {
  Random random(3);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const int64_t other : {9, 4}) {  // uniform and ragged
      LayerSegment slots = test::random_segment({9, other}, 16, true, random, type);
      slots.bias.narrow(0, 0, 9).fill_(-std::numeric_limits<float>::infinity());
      const AttentionPart part =
          attention_over(slots, random_tensor({4, 5, 16}, random, type), 0.3);
      EXPECT_TRUE(part.lse.narrow(0, 0, 2).isneginf().all().item<bool>());
      EXPECT_TRUE(part.lse.narrow(0, 2, 2).isfinite().all().item<bool>());
    }
}

/// Both use the processor's tiles, where it has them, each with a configuration of its own.
TEST(AttentionDecodeAmongTorchTest, NeitherDisturbsTheOther) {
  Random random(16);
  constexpr int64_t kSlots = 1100, kHeads = 8, kDim = 64;
  const at::Tensor x = random_tensor({40, 96}, random, at::kBFloat16);
  const at::Tensor y = random_tensor({96, 72}, random, at::kBFloat16);
  const at::Tensor keys = random_tensor({kSlots, kDim}, random, at::kBFloat16);
  const at::Tensor values = random_tensor({kSlots, kDim}, random, at::kBFloat16);
  const at::Tensor query = random_tensor({kHeads, kDim}, random);
  const int64_t begin = 0;
  const KvPart part{keys.data_ptr(), values.data_ptr(), nullptr, &begin, &kSlots};
  const auto attend = [&] {
    at::Tensor output = at::empty({kHeads, kDim});
    attention_decode({.dtype = DType::bf16,
                      .query_heads = kHeads,
                      .kv_heads = 1,
                      .head_dim = kDim,
                      .scale = 0.125F,
                      .softcap = 0,
                      .query = query.const_data_ptr<float>(),
                      .parts = {&part, 1},
                      .output = output.data_ptr<float>(),
                      .lse = nullptr});
    return output;
  };
  const at::Tensor attended = attend(), product = at::mm(x, y);
  EXPECT_LT(max_difference(product.to(at::kFloat), at::mm(x.to(at::kFloat), y.to(at::kFloat))),
            0.2);  // a bfloat16 number of size 30 is rounded by up to 0.06
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(at::equal(attend(), attended));
    EXPECT_TRUE(at::equal(at::mm(x, y), product));
  }
}

}  // namespace
}  // namespace limbeck
