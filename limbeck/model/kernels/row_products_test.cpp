#include "limbeck/model/kernels/row_products.h"

#include "limbeck/model/kernels/kernel_testing.h"

namespace limbeck {
namespace {

class RowProductsTest : public KernelTest {};
INSTANTIATE_TEST_SUITE_P(TilePaths, RowProductsTest, testing::Values(CpuPath::amx),
                         cpu_path_test_name);

TEST_P(RowProductsTest, EqualTheReference) {
  const uint64_t seed = test_seed(81);
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t rows = 1 + special_size(random, 200), depth = 32 * (1 + round % 5);
    Buffer x = Buffer::normal(DType::bf16, rows * depth, random);
    std::vector<int64_t> names[2];
    RowChoice sides[2];
    for (int s = 0; s < 2; ++s) {
      RowChoice& side = sides[s];
      if (random.below(2) == 0) {  // side by side
        side.first = static_cast<int64_t>(random.below(static_cast<uint64_t>(rows)));
        side.count =
            1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(rows - side.first)));
        continue;
      }
      side.count = 1 + special_size(random, 130);
      for (int64_t i = 0; i < side.count; ++i)
        names[s].push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(rows))));
      side.rows = names[s].data();
    }
    SCOPED_TRACE(testing::Message() << sides[0].count << " x " << sides[1].count << " of " << rows
                                    << ", depth " << depth);
    std::vector<double> got(sides[0].count * sides[1].count, -1), want = got;
    RowProducts p{static_cast<const Bf16*>(x.data()), depth, sides[0], sides[1], got.data()};
    row_products(p);
    p.out = want.data();
    row_products_reference(p);
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want[i], kF32Tolerance * static_cast<double>(depth)) << i;
  }
}

TEST_P(RowProductsTest, NothingOnASideWritesNothing) {
  const Bf16 x[32] = {};
  double out = 7;
  row_products({x, 32, {0, nullptr, 0}, {1, nullptr, 0}, &out});
  row_products({x, 32, {1, nullptr, 0}, {0, nullptr, 0}, &out});
  EXPECT_EQ(out, 7);
}

}  // namespace
}  // namespace limbeck
