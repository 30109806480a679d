#include "limbeck/compact/queries/reference_queries.h"

#include "limbeck/compact/fit/choose_rows.h"
#include "limbeck/model/model_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

LayerQueries queries_of(const std::vector<int64_t>& lengths, int64_t query_heads) {
  LayerQueries out{0, 1.0, {}};
  for (const int64_t n : lengths)
    out.chunks.push_back({{0, n}, 1.0, at::zeros({query_heads, n, 1}, at::kFloat), {}, {}});
  return out;
}

TEST(HeldOutTest, RunsOfNeighboursTheSameForEveryQueryHead) {
  const std::vector<int64_t> lengths = {500, 70, 33, 800};
  const LayerQueries q = queries_of(lengths, 3);
  const std::vector<uint8_t> one = q.held_out(1), three = q.held_out(3);
  ASSERT_EQ(one.size(), 1403U);
  ASSERT_EQ(three.size(), 3 * one.size());
  for (size_t g = 0; g < 3; ++g)
    EXPECT_TRUE(std::equal(one.begin(), one.end(),
                           three.begin() + static_cast<std::ptrdiff_t>(g * one.size())));
  size_t first = 0;
  for (const int64_t n : lengths) {
    for (int64_t i = 0; i < n; ++i)
      EXPECT_EQ(one[first + i], one[first + i / 32 * 32]) << n << " " << i;
    first += n;
  }
}

TEST(HeldOutTest, HalfOfFifteenPercentDecideAndHalfReport) {
  const LayerQueries q = queries_of(std::vector<int64_t>(400, 640), 1);  // 8,000 runs
  const std::vector<uint8_t> held = q.held_out(1);
  const auto n = static_cast<double>(held.size());
  EXPECT_NEAR(std::count(held.begin(), held.end(), 1) / n, 0.075, 0.01);
  EXPECT_NEAR(std::count(held.begin(), held.end(), 2) / n, 0.075, 0.01);
}

/// A part of the rows holds out those that all rows would.
TEST(HeldOutTest, ASubsetKeepsItsRowsLabels) {
  const LayerQueries all = queries_of({640, 900, 320}, 2);
  const std::vector<uint8_t> labels = all.held_out(1);
  const LayerQueries part = all.subset(700, 1);
  ASSERT_EQ(part.chunks.size(), 3U);
  ASSERT_LT(part.tokens(), all.tokens());
  const std::vector<uint8_t> got = part.held_out(1);
  size_t i = 0, first = 0;
  for (size_t c = 0; c < 3; ++c) {
    for (const int32_t row : part.chunks[c].rows) EXPECT_EQ(got[i++], labels[first + row]);
    first += all.chunks[c].queries.size(1);
  }
  EXPECT_EQ(i, got.size());
}

TEST(ChooseRowsTest, EquallySpacedRowsStandForAll) {
  Random random(3);
  const at::Tensor weights = test::random_tensor({1000}, random).abs();
  for (const int64_t uniform : {1, 7, 250, 1000, 5000}) {
    const ChosenRows flat = choose_rows(at::ones({1000}, at::kFloat), uniform, {}, 1.0, {});
    EXPECT_EQ(flat.index.size(0), std::min<int64_t>(uniform, 1000));
    EXPECT_NEAR(flat.weights.sum().item<double>(), 1000.0, 1e-2) << uniform;
    const ChosenRows own = choose_rows(weights, uniform, {}, 1.0, {});
    const double stands_for = 1000.0 / static_cast<double>(own.index.size(0));
    EXPECT_LT(test::max_difference(own.weights, weights.index_select(0, own.index) * stands_for),
              1e-3);
  }
}

TEST(ChooseRowsTest, ReadersAreThereWeighEnoughAndAreNeverHeldOut) {
  const std::vector<int32_t> readers = {3, 40, 77, 99};
  std::vector<uint8_t> held(100, 2);
  const ChosenRows rows = choose_rows(at::ones({100}, at::kFloat), 10, readers, 25.0, held);
  const at::Tensor index = rows.index.contiguous();
  ASSERT_EQ(rows.held.size(), static_cast<size_t>(index.size(0)));
  int64_t found = 0;
  for (int64_t i = 0; i < index.size(0); ++i) {
    const bool reads = std::count(readers.begin(), readers.end(), index[i].item<int64_t>()) > 0;
    found += reads ? 1 : 0;
    EXPECT_EQ(rows.held[i], reads ? 0 : 2);
    EXPECT_FLOAT_EQ(rows.weights[i].item<float>(), reads ? 25.0F : 10.0F);
    if (i > 0) {
      EXPECT_GT(index[i].item<int64_t>(), index[i - 1].item<int64_t>());
    }
  }
  EXPECT_EQ(found, 4);
  // A row that stands for more than a reader's weight keeps what it stands for: row 40 is both.
  const ChosenRows light = choose_rows(at::ones({100}, at::kFloat), 10, readers, 2.0, held);
  for (int64_t i = 0; i < light.index.size(0); ++i)
    if (light.index[i].item<int64_t>() == 40) {
      EXPECT_FLOAT_EQ(light.weights[i].item<float>(), 10.0F);
    }
}

}  // namespace
}  // namespace limbeck
