#include "limbeck/compact/fit/cholesky.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/growing_cholesky.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/fit/warm_nnls.h"
#include "limbeck/compact/fit/weights.h"
#include "limbeck/model/precision.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace limbeck {
namespace {

using test::normal;

TEST(LeastSquaresTest, NormalEquationsEqualQr) {
  Random random(31);
  for (const double closeness : {1.0, 1e-2, 2e-3, 5e-4, 1e-4, 1e-7, 0.0}) {
    at::Tensor x = normal({90, 20}, random).to(at::kDouble);
    const at::Tensor y = normal({90, 6}, random).to(at::kDouble);
    x.select(1, 7).mul_(closeness).add_(x.select(1, 4));
    const at::Tensor fast = at::mm(x, least_squares(x, y)),
                     plain = at::mm(x, least_squares_plain(x, y));
    EXPECT_LT((fast - plain).abs().max().item<double>(), 1e-7) << closeness;
    // Around the pivot where one refinement is enough: without one, 1e-10 and more.
    if (closeness >= 5e-4) {
      const at::Tensor want = least_squares_plain(x, y);
      EXPECT_LT((least_squares(x, y) - want).abs().max().item<double>(),
                1e-12 * want.abs().max().item<double>())
          << closeness;
    }
    EXPECT_LT((least_squares(x, y.select(1, 2)) - least_squares(x, y).select(1, 2))
                  .abs()
                  .max()
                  .item<double>(),
              closeness == 1.0 ? 1e-12 : INFINITY);
  }
  const at::Tensor wide = normal({5, 9}, random).to(at::kDouble),
                   few = normal({5}, random).to(at::kDouble);
  EXPECT_LT((at::mv(wide, least_squares(wide, few)) - few).abs().max().item<double>(), 1e-4);
}

TEST(LiteralFitTest, FromTheGramEqualsStepByStep) {
  Random random(34);
  for (const double closeness : {1.0, 0.3, 0.05, 1e-2, 1e-5, 0.0}) {
    // Exponentials, as features are: no sign, orders of magnitude apart; one column of a weight
    // that was clamped.
    at::Tensor x = normal({700, 60}, random).exp_();
    x.select(1, 30).mul_(1e-21F);
    x.select(1, 7).mul_(closeness).add_(x.select(1, 4));
    const at::Tensor y = normal({700, 5}, random), target = x.sum(1) + normal({700}, random).exp_();
    const at::Tensor wide = x.to(at::kDouble);
    const auto close = [&](const at::Tensor& got, const at::Tensor& want, double tolerance) {
      EXPECT_LT((got - want).abs().max().item<double>(),
                tolerance * want.abs().max().item<double>())
          << closeness;
    };
    const at::Tensor values = literal_values(x, y),
                     plain = least_squares_plain(wide, y.to(at::kDouble));
    EXPECT_EQ(values.scalar_type(), at::kDouble);
    close(at::mm(wide, values), at::mm(wide, plain), 1e-4);
    if (closeness == 1.0) close(values, plain, 1e-5);
    for (const LiteralWeights& o : {LiteralWeights{}, LiteralWeights{2, 0.05, 20.0}}) {
      const at::Tensor w = literal_weights(x, target, o);
      EXPECT_GE(w.min().item<double>(), o.low);
      const at::Tensor want = literal_weights_plain(wide, target.to(at::kDouble), o);
      if (closeness <= 1e-5)
        EXPECT_TRUE(at::equal(w, want)) << closeness;  // too close: the same steps
      else if (o.iterations > 0)
        close(w, want, closeness >= 0.3 ? 3e-4 : 1e-2);
    }
  }
  // As many rows as columns: no pivot tells how little is left of the last directions.
  const at::Tensor square = normal({200, 200}, random), side = normal({200, 3}, random);
  EXPECT_LT((literal_values(square, side) -
             least_squares_plain(square.to(at::kDouble), side.to(at::kDouble)))
                .abs()
                .max()
                .item<double>(),
            1e-3);
  // Fewer rows than columns.
  const at::Tensor flat = normal({20, 40}, random), few = normal({20, 3}, random);
  EXPECT_LT(
      (at::mm(flat.to(at::kDouble), literal_values(flat, few)) - few).abs().max().item<double>(),
      1e-4);
}

TEST(GramTest, JointProductsEqualTheirDefinition) {
  Random random(35);
  for (const auto& [n, t, k] : {std::array<int64_t, 3>{1, 1, 1}, {129, 40, 64}, {700, 31, 1}}) {
    const at::Tensor x = normal({n, t}, random), y = normal({n, k}, random);
    const JointGram g = joint_gram(x, y);
    const at::Tensor wide = x.to(at::kDouble);
    EXPECT_LT((g.xx - at::mm(wide.t(), wide)).abs().max().item<double>(), 1e-6 * n + 1e-5);
    EXPECT_LT((g.xy - at::mm(wide.t(), y.to(at::kDouble))).abs().max().item<double>(),
              1e-6 * n + 1e-5);
    EXPECT_TRUE(at::equal(g.xx, g.xx.t()));
  }
}

TEST(GramTest, PanelsAboveTheDiagonalAreTheWholeProduct) {
  Random random(33);
  for (const at::ScalarType type : {at::kFloat, at::kDouble})
    for (const int64_t size : {1, 40, 127, 128, 129, 513, 1100}) {
      const at::Tensor a = normal({30, size}, random).to(type);
      const at::Tensor g = symmetric_product(a), want = at::mm(a.t(), a);
      EXPECT_EQ(g.scalar_type(), type);
      EXPECT_LT((g - want).abs().max().item<double>(), type == at::kFloat ? 1e-4 : 1e-12) << size;
      EXPECT_TRUE(at::equal(g, g.t())) << size;
    }
}

/// Whatever precision is set: tiles round the operands to bf16, as torch's products do there.
TEST(GramTest, TileProductsEqualTorchs) {
  const MediumPrecision medium;
  Random random(36);
  for (const int64_t size : {1, 31, 32, 33, 200, 513}) {
    const at::Tensor a =
        normal({150, size}, random).to(at::kBFloat16).to(at::kFloat);  // nothing to be rounded
    const at::Tensor g = symmetric_product(a), want = symmetric_product_plain(a.to(at::kDouble));
    EXPECT_EQ(g.scalar_type(), at::kFloat);
    EXPECT_LT((g - want).abs().max().item<double>(), 1e-4) << size;
    EXPECT_TRUE(at::equal(g, g.t())) << size;
  }
}

TEST(CholeskyFactorTest, EqualsTorchs) {
  Random random(37);
  for (const at::ScalarType type : {at::kFloat, at::kDouble})
    for (const int64_t size : {1, 2, 31, 200}) {
      const at::Tensor x = normal({size + 10, size}, random).to(at::kDouble);
      const at::Tensor a = at::mm(x.t(), x), b = normal({size, 3}, random).to(type);
      const at::Tensor before = a.to(type), m = before.clone();
      const at::Tensor l = cholesky_factor(m, 0.5);
      ASSERT_TRUE(l.defined());
      EXPECT_TRUE(at::equal(m, before));
      const at::Tensor ridged = a + 0.5 * at::eye(size, at::kDouble);
      const double near = type == at::kFloat ? 1e-3 : 1e-9;
      EXPECT_LT((l.tril() - at::linalg_cholesky(ridged)).abs().max().item<double>(), near);
      EXPECT_LT((cholesky_solved(l, b) - at::linalg_solve(ridged, b.to(at::kDouble)))
                    .abs()
                    .max()
                    .item<double>(),
                near);
      EXPECT_TRUE(at::equal(cholesky_solved(l, b.select(1, 0)),
                            cholesky_solved(l, b.narrow(1, 0, 1)).squeeze(1)));
    }
}

TEST(CholeskyFactorTest, IsUndefinedWhereThereIsNone) {
  const at::Tensor a = at::eye(5, at::kDouble);
  a[3][3] = -2.0;
  EXPECT_FALSE(cholesky_factor(a, 1.0).defined());
  EXPECT_TRUE(cholesky_factor(a, 3.0).defined());
  a[3][3] = NAN;
  EXPECT_FALSE(cholesky_factor(a, 3.0).defined());
}

/// Ill-conditioned as the Gram matrix of much alike slots is, beside its smallest ridge.
TEST(CholeskyFactorTest, RefinementTakesBackTheRoundingOfAnF32Factor) {
  Random random(36);
  const at::Tensor x = normal({900, 40}, random), near = normal({900, 600}, random);
  const at::Tensor features =
      (at::cat({x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}, 1) + 0.05 * near);
  const at::Tensor m = at::mm(features.t(), features), b = normal({600, 8}, random);
  const double ridge = 1e-3 * m.diagonal().mean().item<double>();
  const at::Tensor exact =
      at::linalg_solve(m.to(at::kDouble) + ridge * at::eye(600, at::kDouble), b.to(at::kDouble));
  const at::Tensor l = cholesky_factor(m, ridge);
  ASSERT_TRUE(l.defined());
  const auto error = [&](const at::Tensor& got) {
    return ((got - exact).norm() / exact.norm()).item<double>();
  };
  const double rough = error(cholesky_solved(l, b)),
               refined = error(cholesky_refined(m, ridge, l, b));
  EXPECT_GT(rough, 1e-7);
  EXPECT_LT(refined, 0.05 * rough);
  const at::Tensor wide = m.to(at::kDouble), b64 = b.to(at::kDouble);
  EXPECT_LT(error(cholesky_refined(wide, ridge, cholesky_factor(wide, ridge), b64)), 1e-9);
}

TEST(GrowingCholeskyTest, GrowsShrinksAndSolves) {
  Random random(32);
  const at::Tensor x = normal({60, 30}, random).to(at::kDouble);
  const at::Tensor a = at::mm(x.t(), x), b = normal({30}, random).to(at::kDouble);
  const auto solved = [&](int64_t n) {
    return at::linalg_solve(a.narrow(0, 0, n).narrow(1, 0, n), b.narrow(0, 0, n));
  };
  const auto difference = [&](const GrowingCholesky& c) {
    const std::vector<double> got = c.solution();
    return (at::tensor(got, at::kDouble) - solved(c.size())).abs().max().item<double>();
  };
  GrowingCholesky c;
  const auto grow = [&](int64_t n) {
    for (int64_t k = c.size(); k < n; ++k) {
      const at::Tensor row = a[k].narrow(0, 0, k).contiguous();
      const std::vector<double> products(row.const_data_ptr<double>(),
                                         row.const_data_ptr<double>() + k);
      ASSERT_TRUE(c.add(products, a[k][k].item<double>(), b[k].item<double>(), 1e-10));
    }
  };
  grow(30);
  EXPECT_LT(difference(c), 1e-9);
  c.truncate(11);
  EXPECT_LT(difference(c), 1e-9);
  grow(20);
  EXPECT_LT(difference(c), 1e-9);
  // A row that is there already has nothing of its own.
  std::vector<double> again;
  for (int64_t k = 0; k < 20; ++k) again.push_back(a[4][k].item<double>());
  EXPECT_FALSE(c.add(again, a[4][4].item<double>(), 0.0, 1e-10));
  EXPECT_EQ(c.size(), 20);
  std::vector<double> side;
  for (int64_t k = 0; k < 12; ++k) side.push_back(b[k].item<double>());
  EXPECT_TRUE(c.assign(a.narrow(0, 0, 12).narrow(1, 0, 12), side));
  EXPECT_LT(difference(c), 1e-9);
  grow(30);
  EXPECT_LT(difference(c), 1e-9);
}

TEST(GrowingCholeskyTest, SeveralRowsAtOnceEqualOneByOne) {
  Random random(33);
  at::Tensor x = normal({90, 60}, random).to(at::kDouble);
  x.select(1, 37).copy_(x.select(1, 5));  // has nothing of its own
  const at::Tensor a = at::mm(x.t(), x), b = normal({60}, random).to(at::kDouble);
  GrowingCholesky one, many;
  const auto add_one = [&](int64_t k) {
    const double* row = a.const_data_ptr<double>() + k * 60;
    return one.add({row, row + k}, row[k], b[k].item<double>(), 1e-10);
  };
  const auto add_many = [&](int64_t count) {
    std::vector<double> right;
    for (int64_t k = many.size(); k < many.size() + count; ++k)
      right.push_back(b[k].item<double>());
    return many.add(a.narrow(0, many.size(), count).narrow(1, 0, many.size() + count), right,
                    1e-10);
  };
  for (const int64_t count : {1, 7, 20, 4}) {
    while (one.size() < many.size() + count) ASSERT_TRUE(add_one(one.size()));
    ASSERT_TRUE(add_many(count));
    ASSERT_EQ(many.size(), one.size());
    const at::Tensor got = at::tensor(many.solution()), want = at::tensor(one.solution());
    EXPECT_LT((got - want).abs().max().item<double>(), 1e-10);
  }
  // The rows before the one that is not added stay.
  EXPECT_FALSE(add_many(20));
  EXPECT_EQ(many.size(), 37);
  for (int64_t k = 32; k < 37; ++k) ASSERT_TRUE(add_one(k));
  EXPECT_LT((at::tensor(many.solution()) - at::tensor(one.solution())).abs().max().item<double>(),
            1e-10);
}

TEST(GrowingCholeskyTest, ManyRowsByPanelsEqualTheWholeFactor) {
  Random random(39);
  const int64_t size = 420;
  const at::Tensor x = normal({600, size}, random).to(at::kDouble);
  const at::Tensor a = at::mm(x.t(), x), b = normal({size}, random).to(at::kDouble);
  GrowingCholesky c;
  for (const int64_t count : {3, 130, 64, 8, 127, 88}) {
    const int64_t n = c.size();
    const double* right = b.const_data_ptr<double>() + n;
    ASSERT_TRUE(
        c.add(a.narrow(0, n, count).narrow(1, 0, n + count), {right, right + count}, 1e-10));
    const at::Tensor want =
        at::linalg_solve(a.narrow(0, 0, c.size()).narrow(1, 0, c.size()), b.narrow(0, 0, c.size()));
    EXPECT_LT((at::tensor(c.solution(), at::kDouble) - want).abs().max().item<double>(), 1e-10);
  }
  EXPECT_EQ(c.size(), size);
}

TEST(GrowingCholeskyTest, RowsLeaveFromAnywhere) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Random random(40 + seed);
    const int64_t size = 40;
    const at::Tensor x = normal({90, size}, random).to(at::kDouble);
    const at::Tensor all = at::mm(x.t(), x), right = normal({size}, random).to(at::kDouble);
    const double* b = right.const_data_ptr<double>();
    std::vector<int64_t> in(size);
    std::iota(in.begin(), in.end(), 0);
    GrowingCholesky c;
    ASSERT_TRUE(c.assign(all, {b, b + size}));
    while (in.size() > 1) {
      const auto at = static_cast<int64_t>(random.below(in.size()));
      c.remove(at);
      const int64_t left = in[at];
      in.erase(in.begin() + at);
      if (in.size() % 3 == 0) {  // and comes back as the last
        std::vector<double> products;
        for (const int64_t i : in) products.push_back(all[left][i].item<double>());
        ASSERT_TRUE(c.add(products, all[left][left].item<double>(), b[left], 1e-10));
        in.push_back(left);
        c.remove(0);
        in.erase(in.begin());
      }
      const at::Tensor index = at::tensor(in, at::kLong);
      const at::Tensor want = at::linalg_solve(all.index_select(0, index).index_select(1, index),
                                               right.index_select(0, index));
      EXPECT_LT((at::tensor(c.solution(), at::kDouble) - want).abs().max().item<double>(), 1e-10)
          << in.size();
    }
  }
}

TEST(WarmNnlsTest, EqualsTheFitFromTheStart) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Random random(50 + seed);
    const int64_t size = 80;
    // Columns of one sign that have much in common push each other to 0.
    const at::Tensor x = normal({120, size}, random).to(at::kDouble).mul_(1.5).exp_();
    const at::Tensor g = at::mm(x.t(), x), sums = g.sum(1);
    WarmNnls fit(g);
    std::vector<int64_t> set;
    int64_t zeros = 0;
    for (int64_t t = 0; t < 60; ++t) {
      set.push_back(seed % 2 == 0 ? t : (t * 37) % size);
      fit.add(static_cast<int32_t>(set.back()));
      const at::Tensor index = at::tensor(set, at::kLong);
      const at::Tensor rows = g.index_select(0, index);
      const at::Tensor w = nnls_gram(rows.index_select(1, index), sums.index_select(0, index));
      zeros += w.eq(0).sum().item<int64_t>();
      const at::Tensor want = sums - at::mv(rows.t(), w);
      ASSERT_LT((fit.unexplained() - want).norm().item<double>(), 1e-9 * sums.norm().item<double>())
          << t;
    }
    EXPECT_GT(zeros, 20);
  }
}

}  // namespace
}  // namespace limbeck
