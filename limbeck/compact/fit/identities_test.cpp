// What must hold for every head, whatever its numbers: slots that repeat count as often as they
// stand there, slots without mass do not exist, a fit of a fit with everything kept changes
// nothing, and more slots serve better.
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/head_attention.h"
#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/fit/weights.h"
#include "limbeck/compact/fit/wpc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace limbeck {
namespace {

using test::head_errors;
using test::HeadErrors;
using test::normal;
using test::synthetic_head;
using test::SyntheticHead;

at::Tensor index_of(const std::vector<int32_t>& slots) {
  return at::tensor(std::vector<int64_t>(slots.begin(), slots.end()), at::kLong);
}

std::vector<int32_t> numbers(int64_t n) {
  std::vector<int32_t> out(n);
  std::iota(out.begin(), out.end(), 0);
  return out;
}

double relative(const at::Tensor& got, const at::Tensor& want) {
  return (got.to(at::kDouble) - want.to(at::kDouble)).norm().item<double>() /
         want.to(at::kDouble).norm().item<double>();
}

HeadAttention attention_of(const HeadProblem& p) {
  return head_attention_plain({p.queries, p.keys, p.values, p.bias, p.scale, {}});
}

std::vector<int32_t> wpc_order(const HeadProblem& p, int64_t t) {
  const auto gram = dense_gram(attention_gram(p));
  WpcOptions o;
  o.limit = t;
  return wpc(*gram, wpc_targets(*gram, p.values, 0.3), o).order;
}

/// A head whose slots stand there `times` as often, and the same with one slot of bias log times
/// for each.
struct Repeated {
  HeadProblem many, one;
  std::vector<int64_t> owner;  ///< of each slot of `many`

  explicit Repeated(uint64_t seed) {
    one = synthetic_head(seed, 0.5, 60, 400, 1, 16).train;
    Random random(seed);
    std::vector<float> bias;
    for (int64_t j = 0; j < 60; ++j) {
      const auto times = static_cast<int64_t>(1 + random.below(4));
      owner.insert(owner.end(), times, j);
      bias.push_back(std::log(static_cast<float>(times)));
    }
    many = one;
    const at::Tensor index = at::tensor(owner, at::kLong);
    many.keys = one.keys.index_select(0, index);
    many.values = one.values.index_select(0, index);
    one.bias = at::tensor(bias, at::kFloat);
  }
  /// Adds up the slots of `many` that are one slot of `one`, over dimension `dim`.
  at::Tensor joined(const at::Tensor& x, int64_t dim) const {
    std::vector<int64_t> shape = x.sizes().vec();
    shape[dim] = 60;
    return at::zeros(shape, x.options()).index_add(dim, at::tensor(owner, at::kLong), x);
  }
};

TEST(RepeatedSlotTest, CountsAsOneSlotWithTheLogarithmOfItsNumber) {
  for (uint64_t seed = 300; seed < 304; ++seed) {
    const Repeated head(seed);
    // Attention, log masses and what a slot is read by.
    const HeadAttention many = attention_of(head.many), one = attention_of(head.one);
    EXPECT_LT(relative(many.outputs, one.outputs), 1e-5);
    EXPECT_LT((many.lse - one.lse).abs().max().item<double>(), 1e-5);
    const at::Tensor index = at::tensor(head.owner, at::kLong);
    const at::Tensor times = one.coverage.index_select(0, index) / many.coverage;
    EXPECT_LT((times - head.one.bias.exp().index_select(0, index)).abs().max().item<double>(),
              1e-4);
    // The Gram and the features that pursuits add up.
    const at::Tensor g = attention_gram(head.many);
    EXPECT_LT(relative(head.joined(head.joined(g, 0), 1), attention_gram(head.one)), 1e-5);
    const at::Tensor phi = max_features(head.many);
    const at::Tensor want = max_features(head.one);
    // The maximum of a row may be another one: compared as parts of the row's sum.
    const auto parts = [](const at::Tensor& x) { return x / x.sum(0, true); };
    EXPECT_LT(relative(parts(head.joined(phi, 0)), parts(want)), 1e-5);
  }
}

/// Ours; the published features are divided by a row's maximum, which a bias may move.
TEST(RepeatedSlotTest, AFitGivesBothTheSameCompactHead) {
  for (uint64_t seed = 310; seed < 314; ++seed) {
    const Repeated head(seed);
    const std::vector<int32_t> kept = {2, 7, 11, 19, 28, 33, 41, 50, 58};
    // The first of the equal slots stands for all of them.
    std::vector<int32_t> kept_many;
    for (const int32_t j : kept)
      kept_many.push_back(static_cast<int32_t>(std::find(head.owner.begin(), head.owner.end(), j) -
                                               head.owner.begin()));
    const FitResult a = fit_head(head.many, kept_many, {}, {}),
                    b = fit_head(head.one, kept, {}, {});
    EXPECT_LT((a.bias - b.bias).abs().max().item<double>(), 5e-3);
    EXPECT_LT(relative(a.values, b.values), 2e-2);
    EXPECT_NEAR(a.output_error, b.output_error, 1e-3 * b.output_error);
  }
}

/// A block of mass m and output y beside mass f and output 0: an error eps in log m moves the whole
/// output by p (1 - p) eps y to first order, p = m / (m + f) (arXiv 2602.16284).
TEST(MassErrorTest, MovesTheOutputByThePartsOfBothSides) {
  const auto f32 = at::TensorOptions(at::kFloat);
  HeadRows rows;
  rows.queries = at::zeros({1, 32}, f32);  // three slots of logit 0: m = 3
  Random random(5);
  rows.keys = normal({3, 32}, random);
  rows.values = at::ones({3, 32}, f32);
  rows.elsewhere = at::zeros({1}, f32);  // f = 1
  const auto output = [&](double eps) {
    rows.bias = at::full({3}, eps, f32);
    const HeadAttention a = head_attention(rows);
    return a.part[0].item<double>() * a.outputs[0][0].item<double>();
  };
  EXPECT_NEAR(output(0.0), 0.75, 1e-6);
  EXPECT_NEAR(output(0.01) - output(0.0), .0018703, 1e-6);
  EXPECT_NEAR(output(0.001) - output(0.0), 0.75 * 0.25 * 0.001, 1e-6);
}

TEST(MasslessSlotTest, ChangesNothing) {
  for (uint64_t seed = 320; seed < 323; ++seed) {
    HeadProblem p = synthetic_head(seed, 0.5, 80, 500, 1, 16).train;
    Random random(seed);
    p.bias = normal({80}, random) * 0.3;
    HeadProblem more = p;  // with 20 slots of bias -inf behind the others
    more.keys = at::cat({p.keys, normal({20, 16}, random) * 3}, 0);
    more.values = at::cat({p.values, normal({20, 16}, random) * 100}, 0);
    more.bias = at::cat({p.bias, at::full({20}, -std::numeric_limits<float>::infinity())}, 0);
    const HeadAttention a = attention_of(p), b = attention_of(more);
    EXPECT_LT((a.lse - b.lse).abs().max().item<double>(), 1e-6 * a.lse.abs().max().item<double>());
    EXPECT_LT(relative(b.outputs, a.outputs), 1e-6);
    EXPECT_EQ(b.coverage.narrow(0, 80, 20).abs().max().item<float>(), 0);
    EXPECT_EQ(wpc_order(p, 20), wpc_order(more, 20));
    OmpOptions o;
    o.limit = 20;
    EXPECT_EQ(omp_select(max_features(p), o), omp_select(max_features(more), o));
    const std::vector<int32_t> kept = {1, 5, 17, 30, 44, 61, 79};
    const FitResult x = fit_head(p, kept, {}, {}), y = fit_head(more, kept, {}, {});
    EXPECT_LT((x.bias - y.bias).abs().max().item<double>(), 1e-4);
    EXPECT_LT(relative(y.values, x.values), 1e-4);
  }
}

/// Fitting what a fit gave, with nothing left out, is the identity: old biases count once.
TEST(SecondFitTest, OfEverythingChangesNothing) {
  for (uint64_t seed = 330; seed < 333; ++seed) {
    HeadProblem p = synthetic_head(seed, 0.6, 120, 600, 1, 16).train;
    Random random(seed);
    p.bias = normal({120}, random) * 0.3;
    std::vector<int32_t> kept = wpc_order(p, 24);
    std::sort(kept.begin(), kept.end());
    const FitResult first = fit_head(p, kept, {}, {});
    HeadProblem compact = p;
    compact.keys = p.keys.index_select(0, index_of(kept));
    compact.values = first.values;
    compact.bias = first.bias;
    FitOptions o;
    o.rho = 1e-9;
    const FitResult second = fit_head(compact, numbers(24), {}, o);
    EXPECT_LT((second.bias - first.bias).abs().max().item<double>(), 2e-3);
    EXPECT_LT(second.mass_error, 1e-4);
    EXPECT_LT(relative(second.values, first.values), 1e-3);
  }
}

/// Four query heads that ask the same are one query head.
TEST(GroupTest, EqualQueriesCountOnce) {
  const SyntheticHead head = synthetic_head(340, 0.5, 150, 300, 200, 32);
  HeadProblem group = head.train;
  group.queries = head.train.queries.repeat({4, 1});
  const std::vector<int32_t> order = wpc_order(head.train, 30);
  EXPECT_EQ(order, wpc_order(group, 30));
  std::vector<int32_t> kept = order;
  std::sort(kept.begin(), kept.end());
  const FitResult one = fit_head(head.train, kept, {}, {}), four = fit_head(group, kept, {}, {});
  EXPECT_LT((one.bias - four.bias).abs().max().item<double>(), 1e-3);
  EXPECT_LT(relative(four.values, one.values), 1e-3);
}

/// A pursuit on the Gram with omega = M^2 is the published one with one slot a step: the same slots
/// first, and heads as good where rounding lets them part.
TEST(PursuitFormsTest, FitsFromBothDifferByLessThanOnePercent) {
  double literal_output = 0, gram_output = 0, literal_left = 0, gram_left = 0;
  for (uint64_t seed = 350; seed < 356; ++seed) {
    const SyntheticHead head = synthetic_head(seed, seed % 2 == 0 ? 0.35 : 0.6, 512, 1024, 512);
    const at::Tensor phi = max_features(head.train).to(at::kDouble);
    const at::Tensor g = at::mm(phi, phi.t());
    OmpOptions o;
    o.limit = 64;
    const std::vector<int32_t> literal = omp_select(phi.to(at::kFloat), o), gram = gomp(g, 64);
    EXPECT_TRUE(std::equal(gram.begin(), gram.begin() + 8, literal.begin())) << seed;
    const auto measure = [&](std::vector<int32_t> kept, double& output, double& left) {
      std::sort(kept.begin(), kept.end());
      FitOptions fit;
      fit.weights = "literal";
      fit.values = "ls";
      fit.high = std::exp(7.0);
      const FitResult r = fit_head(head.train, kept, {}, fit);
      output += head_errors(head.test, kept, r.bias, r.values).output;
      const at::Tensor rows = phi.index_select(0, index_of(kept));
      const at::Tensor w = nnls_gram(at::mm(rows, rows.t()), at::mv(rows, phi.sum(0)));
      left += (phi.sum(0) - at::mv(rows.t(), w)).norm().item<double>() /
              phi.sum(0).norm().item<double>();
    };
    measure(literal, literal_output, literal_left);
    measure(gram, gram_output, gram_left);
  }
  EXPECT_NEAR(gram_output, literal_output, 0.01 * literal_output);
  EXPECT_NEAR(gram_left, literal_left, 0.01 * literal_left);
}

/// arXiv 2602.16284 drops at most three times: where every set that is chosen holds slots below the
/// cutoff, the last one keeps them.
TEST(PursuitFormsTest, DroppingEndsAfterThreeTimes) {
  const at::Tensor phi = max_features(synthetic_head(360, 0.6, 400, 400, 1, 16).train);
  OmpOptions o;
  o.limit = 60;
  o.drop_cutoff = 1.0;
  const std::vector<int32_t> kept = omp_select(phi, o);
  EXPECT_EQ(kept.size(), 60U);
  const at::Tensor w =
      literal_weights_plain(phi.index_select(0, index_of(kept)).to(at::kDouble).t(),
                            phi.sum(0, false, at::kDouble), o.weights);
  EXPECT_LT(w.min().log().item<double>(), o.drop_cutoff);
  o.drop = false;
  EXPECT_NE(kept, omp_select(phi, o));
}

TEST(MoreSlotsTest, ServeHeldOutQueriesBetterInOutputAndMass) {
  for (const double sharpness : {0.35, 0.6}) {
    HeadErrors last{1e9, 1e9};
    for (const int64_t t : {16, 32, 64, 128, 256}) {
      HeadErrors mean{0, 0};
      for (uint64_t seed = 370; seed < 373; ++seed) {
        const SyntheticHead head = synthetic_head(seed, sharpness, 512, 1024, 512);
        std::vector<int32_t> kept = wpc_order(head.train, t);
        std::sort(kept.begin(), kept.end());
        const FitResult r = fit_head(head.train, kept, {}, {});
        const HeadErrors e = head_errors(head.test, kept, r.bias, r.values);
        mean.output += e.output;
        mean.mass += e.mass;
      }
      EXPECT_LT(mean.output, last.output) << t << " slots, sharpness " << sharpness;
      EXPECT_LT(mean.mass, last.mass) << t << " slots, sharpness " << sharpness;
      last = mean;
    }
  }
}

/// Compact keys and values are stored in bf16; biases stay f32.
TEST(StoredFitTest, RoundingToBf16CostsLessThanOnePercent) {
  for (const int64_t t : {32, 128}) {
    double exact = 0, stored = 0;
    for (uint64_t seed = 380; seed < 384; ++seed) {
      const SyntheticHead head = synthetic_head(seed, 0.5, 512, 1024, 512);
      std::vector<int32_t> kept = wpc_order(head.train, t);
      std::sort(kept.begin(), kept.end());
      const FitResult r = fit_head(head.train, kept, {}, {});
      exact += head_errors(head.test, kept, r.bias, r.values).output;
      stored +=
          head_errors(head.test, kept, r.bias, r.values.to(at::kBFloat16).to(at::kFloat)).output;
    }
    EXPECT_NEAR(stored, exact, 0.01 * exact) << t;
  }
}

}  // namespace
}  // namespace limbeck
