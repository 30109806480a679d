#include "limbeck/compact/fit/wpc.h"
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/row_features.h"
#include "limbeck/compact/fit/synthetic_heads.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

namespace limbeck {
namespace {

using test::head_errors;
using test::synthetic_head;
using test::SyntheticHead;

TEST(WpcTest, BlockedEqualsPlainAndPrefixesAreAnswers) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SyntheticHead head = synthetic_head(seed, seed % 2 == 0 ? 0.35 : 0.6, 300, 900, 1);
    const auto gram = dense_gram(attention_gram(head.train));
    const WpcTargets targets = wpc_targets(*gram, head.train.values, 0.3);
    WpcOptions o;
    o.limit = 90;
    if (seed >= 2) o.forced = {5, 17, 5, 200, 44};
    const WpcOrder plain = wpc_plain(*gram, targets, o), fast = wpc(*gram, targets, o);
    EXPECT_EQ(plain.order, fast.order) << seed;
    EXPECT_EQ(fast.forced, seed >= 2 ? 4 : 0);  // a slot named twice is taken once
    for (size_t k = 1; k < fast.energy.size(); ++k) {
      EXPECT_LE(fast.energy[k], fast.energy[k - 1] + 1e-12);
      EXPECT_NEAR(fast.energy[k], plain.energy[k], 1e-6 * plain.energy[0]);
    }
    o.limit = 40;
    const WpcOrder shorter = wpc(*gram, targets, o);
    EXPECT_TRUE(std::equal(shorter.order.begin(), shorter.order.end(), fast.order.begin()));
  }
}

/// Slots that are taken, or that never will be, are dropped on the way.
TEST(WpcTest, OrdersAllSlotsAsThePlainLoop) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SyntheticHead head = synthetic_head(20 + seed, 0.8, 150, 600, 1, 32);
    const auto gram = dense_gram(attention_gram(head.train).to(at::kDouble));
    const WpcTargets targets = wpc_targets(*gram, head.train.values, 0.3);
    WpcOptions o;
    o.limit = 150;
    o.duplicate = 1e-9;
    o.reference = gram->diagonal().clone();
    if (seed % 2 == 1)
      for (int32_t j = 140; j > 0; j -= 2) o.forced.push_back(j);
    if (seed >= 2)
      for (int64_t j = 0; j < 150; j += 3) o.reference[j] = INFINITY;
    const WpcOrder plain = wpc_plain(*gram, targets, o), fast = wpc(*gram, targets, o);
    EXPECT_EQ(plain.order, fast.order) << seed;
    EXPECT_EQ(plain.forced, fast.forced);
    EXPECT_GE(fast.order.size(), seed >= 2 ? 90 : 145) << seed;
    for (size_t k = 1; k < fast.energy.size(); ++k)
      EXPECT_NEAR(fast.energy[k], plain.energy[k], 1e-9 * plain.energy[0]);
  }
}

TEST(WpcTest, EnergiesAreTheSchurComplementsOfADenseSolve) {
  const SyntheticHead head = synthetic_head(9, 0.5, 80, 500, 1, 16);
  const at::Tensor g = attention_gram(head.train).to(at::kDouble);
  const auto gram = dense_gram(attention_gram(head.train));
  const WpcTargets targets = wpc_targets(*gram, head.train.values, 0.3);
  WpcOptions o;
  o.limit = 20;
  const WpcOrder r = wpc(*gram, targets, o);
  for (size_t k : {size_t{1}, size_t{5}, size_t{20}}) {
    const at::Tensor index =
        at::tensor(std::vector<int64_t>(r.order.begin(), r.order.begin() + k), at::kLong);
    const at::Tensor h = targets.h.index_select(0, index);
    const at::Tensor inverse = at::linalg_solve(g.index_select(0, index).index_select(1, index), h);
    EXPECT_NEAR(r.energy[k] * targets.total, targets.energy - (h * inverse).sum().item<double>(),
                1e-5 * targets.energy);
  }
}

TEST(WpcTest, ADuplicateIsNeverTakenTwice) {
  SyntheticHead head = synthetic_head(4, 0.5, 40, 300, 1, 16);
  HeadProblem& p = head.train;
  p.keys = at::cat({p.keys, p.keys});
  p.values = at::cat({p.values, p.values});
  const auto gram = dense_gram(attention_gram(p));
  WpcOptions o;
  o.limit = 80;
  const WpcOrder r = wpc(*gram, wpc_targets(*gram, p.values, 0.3), o);
  EXPECT_TRUE(r.rank_reached);
  std::vector<int> seen(40, 0);
  for (int32_t slot : r.order) EXPECT_EQ(seen[slot % 40]++, 0);
}

/// Blocks and columns round apart: what a block took for a pick may have nothing left.
TEST(WpcTest, APickThatVanishesCountsAsExplained) {
  struct Apart : Gram {
    at::Tensor eye = at::eye(3, at::kDouble), twins = eye.clone();  // slots 0 and 1 are the same
    Apart() { twins[0][1] = twins[1][0] = 1.0; }
    int64_t size() const override { return 3; }
    at::Tensor diagonal() const override { return at::ones({3}, at::kDouble); }
    at::Tensor columns(const at::Tensor& i) const override { return twins.index_select(1, i); }
    at::Tensor block(const at::Tensor& i) const override {
      return eye.index_select(0, i).index_select(1, i);
    }
    at::Tensor times(const at::Tensor& m) const override { return at::mm(twins, m); }
  } gram;
  WpcTargets t;
  t.h = at::tensor({3.0, 2.0, 1.0}, at::kDouble).unsqueeze(1);
  t.energy = 20;
  WpcOptions o;
  o.limit = 3;
  const WpcOrder got = wpc(gram, t, o);
  EXPECT_EQ(got.order, (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(got.energy, (std::vector<double>{20, 11, 10}));
  EXPECT_TRUE(got.rank_reached);
}

/// Output errors on test queries of the same number of slots, chosen on the whole Gram matrix, by a
/// sketch and then exactly on its pool, and on sums of rows alone (the default of long heads).
TEST(WpcTest, SketchesStayCloseToTheWholeGram) {
  for (const int64_t t : {64, 128, 256}) {
    double whole = 0, pooled = 0, mixed = 0;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const SyntheticHead head =
          synthetic_head(20 + seed, seed % 2 == 0 ? 0.35 : 0.6, 2048, 4096, 512);
      const HeadProblem& p = head.train;
      const auto error = [&](std::vector<int32_t> kept) {
        std::sort(kept.begin(), kept.end());
        FitOptions o;
        o.values = "local";
        const FitResult r = fit_head(p, kept, {}, o);
        return head_errors(head.test, kept, r.bias, r.values).output;
      };
      const auto gram = dense_gram(attention_gram(p));
      WpcOptions o;
      o.limit = t;
      whole += error(wpc(*gram, wpc_targets(*gram, p.values, 0.3), o).order);

      // Four sums for each slot that is ordered: three times as many as are kept.
      const auto sums = factored_gram(mixed_row_features(p, 12 * t, 0.3, seed).a);
      mixed += error(wpc(*sums, wpc_targets(*sums, p.values, 0.3), o).order);

      const auto rough = factored_gram(mixed_row_features(p, 4 * t, 0.3, seed).a);
      o.limit = 3 * t;
      std::vector<int32_t> pool = wpc(*rough, wpc_targets(*rough, p.values, 0.3), o).order;
      std::sort(pool.begin(), pool.end());
      const at::Tensor index =
          at::tensor(std::vector<int64_t>(pool.begin(), pool.end()), at::kLong);
      const Features f = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
      const at::Tensor ap = f.a.index_select(1, index);
      const auto exact = dense_gram(at::mm(ap.t(), ap));
      o.limit = t;
      std::vector<int32_t> kept =
          wpc(*exact, wpc_targets(ap, at::mm(f.a, p.values), {}, 0.3), o).order;
      for (int32_t& slot : kept) slot = pool[slot];
      pooled += error(std::move(kept));
    }
    EXPECT_LT(pooled, 1.03 * whole) << t;
    EXPECT_LT(mixed, 1.03 * whole) << t;
  }
}

/// All values alike: nothing but the mass is left to explain, and it is.
TEST(WpcTest, ConstantValuesLeaveTheMass) {
  HeadProblem p = synthetic_head(27, 0.5, 200, 500, 1, 16).train;
  p.values = at::ones({200, 1}, at::kFloat).mul(p.values[0].unsqueeze(0));
  const auto gram = dense_gram(attention_gram(p));
  const WpcTargets t = wpc_targets(*gram, p.values, 0.3);
  EXPECT_GT(t.energy, 0);
  WpcOptions o;
  o.limit = 40;
  const WpcOrder order = wpc(*gram, t, o);
  EXPECT_EQ(order.order.size(), 40U);
  EXPECT_LT(order.energy.back(), 0.5 * order.energy.front());
  // Values of zero: the mass counts as it is.
  p.values.zero_();
  EXPECT_EQ(wpc(*gram, wpc_targets(*gram, p.values, 0.3), o).order.size(), 40U);
}

}  // namespace
}  // namespace limbeck
