#include "limbeck/model/kernels/pivoting.h"

#include "limbeck/model/kernels/kernel_testing.h"

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

std::vector<double> normal_doubles(int64_t n, Random& random) {
  std::vector<double> x(static_cast<size_t>(n));
  for (double& y : x) y = random.normal();
  return x;
}

/// X' X of random rows: positive definite when there are more rows than columns.
std::vector<double> gram(int64_t size, int64_t rows, Random& random) {
  const std::vector<double> x = normal_doubles(rows * size, random);
  std::vector<double> g(static_cast<size_t>(size * size), 0.0);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j)
      for (int64_t r = 0; r < rows; ++r) g[i * size + j] += x[r * size + i] * x[r * size + j];
  return g;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double scale) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-10 * scale) << i;
}

/// A whole factorisation in the making.
struct State {
  State(int64_t slots, int64_t width, int64_t limit, Random& random)
      : slots(slots),
        width(width),
        g(gram(slots, slots + 20, random)),
        limit(limit),
        l(static_cast<size_t>(PivotFactor::size(slots, limit)), 0.0),
        h(normal_doubles(slots * width, random)),
        squares(static_cast<size_t>(slots), -1.0) {
    for (int64_t j = 0; j < slots; ++j) diagonal.push_back(g[j * slots + j]);
  }
  template <class F>
  int64_t take(const std::vector<int64_t>& pivots, F&& kernel) {
    std::vector<double> rows;
    for (const int64_t p : pivots)
      rows.insert(rows.end(), g.begin() + p * slots, g.begin() + (p + 1) * slots);
    PivotRows r;
    r.slots = slots;
    r.picks = static_cast<int64_t>(pivots.size());
    r.width = width;
    r.before = before;
    r.pivots = pivots.data();
    r.g = rows.data();
    r.l = {l.data(), limit};
    r.diagonal = diagonal.data();
    r.h = h.data();
    r.squares = squares.data();
    const int64_t taken = kernel(r);
    before += taken;
    return taken;
  }
  int64_t slots, width, before = 0;
  std::vector<double> g;
  int64_t limit;
  std::vector<double> l, h, squares, diagonal;
};

class PivotingTest : public KernelTest {};
LIMBECK_FLOAT_PATHS(PivotingTest);

TEST_P(PivotingTest, ABlockEqualsTheReference) {
  const uint64_t seed = test_seed(71);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 40; ++round) {
    const int64_t size = 1 + special_size(random, 130),
                  width = kPivotWidth * (1 + static_cast<int64_t>(random.below(10)));
    SCOPED_TRACE(testing::Message() << size << " x " << width);
    std::vector<double> g = gram(size, size + 5, random), want_g = g,
                        h = normal_doubles(size * width, random), want_h = h, squares(size, -1),
                        want_squares(size, -1);
    const double scale = *std::max_element(g.begin(), g.end());
    for (int picks = 0; picks < std::min<int64_t>(3, size); ++picks) {
      const double energy = pivot_block({size, width, g.data(), h.data(), squares.data()}, picks),
                   want = pivot_block_reference(
                       {size, width, want_g.data(), want_h.data(), want_squares.data()}, picks);
      EXPECT_NEAR(energy, want, 1e-10 * (1 + want));
      expect_near(g, want_g, scale);
      expect_near(h, want_h, scale);
      expect_near(squares, want_squares, scale * static_cast<double>(width));
    }
  }
}

TEST_P(PivotingTest, RowsEqualTheReference) {
  const uint64_t seed = test_seed(72);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 25; ++round) {
    const int64_t slots = 1 + special_size(random, 200),
                  width = kPivotWidth * (1 + static_cast<int64_t>(random.below(10)));
    std::vector<int64_t> order(slots);
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = slots - 1; i > 0; --i)
      std::swap(order[i], order[random.below(static_cast<uint64_t>(i) + 1)]);
    const int64_t limit = std::min<int64_t>(slots, 60);
    State got(slots, width, limit, random), want = got;
    const double scale = *std::max_element(got.g.begin(), got.g.end());
    for (int64_t at = 0; at < limit;) {
      const int64_t n = std::min(limit - at, 1 + static_cast<int64_t>(random.below(17)));
      SCOPED_TRACE(testing::Message() << slots << " x " << width << ": " << at << " + " << n);
      const std::vector<int64_t> pivots(order.begin() + at, order.begin() + at + n);
      EXPECT_EQ(got.take(pivots, pivot_rows), n);
      EXPECT_EQ(want.take(pivots, pivot_rows_reference), n);
      expect_near(got.l, want.l, scale);
      expect_near(got.h, want.h, scale);
      expect_near(got.diagonal, want.diagonal, scale);
      expect_near(got.squares, want.squares, scale * static_cast<double>(width));
      at += n;
    }
  }
}

/// The same slot twice has nothing left the second time.
TEST_P(PivotingTest, APivotWithNothingLeftEndsTheCall) {
  Random random(test_seed(73));
  State got(90, 16, 10, random), want = got;
  EXPECT_EQ(got.take({3, 70, 41, 70, 5}, pivot_rows), 3);
  EXPECT_EQ(want.take({3, 70, 41}, pivot_rows_reference), 3);
  expect_near(got.h, want.h, 1e3);
  expect_near(got.diagonal, want.diagonal, 1e3);
  EXPECT_EQ(got.take({70}, pivot_rows), 0);
  EXPECT_EQ(got.take({5, 6}, pivot_rows), 2);
  EXPECT_EQ(want.take({5, 6}, pivot_rows_reference), 2);
  expect_near(got.h, want.h, 1e3);
  expect_near(got.squares, want.squares, 1e4);
}

}  // namespace
}  // namespace limbeck
