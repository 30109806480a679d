#include "limbeck/model/kernels/tile_product.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/kernel_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

class TileProductTest : public KernelTest {};
LIMBECK_ALL_PATHS(TileProductTest);

TEST_P(TileProductTest, EqualsTheReferenceOnRandomShapes) {
  const uint64_t seed = test_seed(41);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const int64_t m = special_size(random, 70), n = special_size(random, 200),
                  k = 2 * special_size(random, 300);
    SCOPED_TRACE(fmt::format("[{}, {}] times [{}, {}]", m, k, k, n));
    Buffer a = Buffer::normal(DType::bf16, m * (k + 6), random),
           b = Buffer::normal(DType::bf16, n * k, random);
    std::vector<Bf16> packed(static_cast<size_t>(tile_pack_size(k, n)));
    const bool transposed = random.below(2) == 1;
    const auto* stored = static_cast<const Bf16*>(b.data());
    tile_pack(stored, k, n, transposed ? 1 : n, transposed ? k : 1, packed.data());
    const std::vector<float> start = normal_floats(m * (n + 3), random);
    std::vector<float> fast = start, slow = start;
    TileProduct p{
        static_cast<const Bf16*>(a.data()), m, k, k + 6, packed.data(), k, n, fast.data(), n + 3};
    if (random.below(2) == 1) p.k = k / 4 * 2;  // the first rows of B alone
    tile_product(p);
    p.c = slow.data();
    tile_product_reference(p);
    EXPECT_LT(relative_error(fast.data(), slow.data(), m * (n + 3)), kF32Tolerance);
    for (int64_t i = 0; i < m; ++i)  // nothing beyond the n columns is written
      for (int64_t j = n; j < n + 3; ++j) EXPECT_EQ(fast[i * (n + 3) + j], start[i * (n + 3) + j]);
    for (int check = 0; check < 4 && m * n * k > 0; ++check) {  // the packing itself
      const auto i = static_cast<int64_t>(random.below(m)),
                 j = static_cast<int64_t>(random.below(n));
      double sum = 0, size = 0;
      for (int64_t l = 0; l < p.k; ++l) {
        sum += a[i * (k + 6) + l] * b[transposed ? j * k + l : l * n + j];
        size += std::abs(a[i * (k + 6) + l] * b[transposed ? j * k + l : l * n + j]);
      }
      EXPECT_NEAR(slow[i * (n + 3) + j], sum, 1e-6 * size);
    }
  }
}

}  // namespace
}  // namespace limbeck
