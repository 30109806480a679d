#include "limbeck/model/kernels/bf16.h"

#include "limbeck/base/random.h"
#include "limbeck/model/kernels/fast_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace limbeck {
namespace {

TEST(Bf16Test, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = to_float(Bf16{static_cast<uint16_t>(bits)});
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(x)))) << bits;
    } else {
      EXPECT_EQ(to_bf16(x).bits, bits);
    }
  }
}

TEST(Bf16Test, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000U)).bits, 0x3f80);  // a tie: down to even
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000U)).bits, 0x3f82);  // a tie: up to even
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808001U)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f807fffU)).bits, 0x3f80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);  // overflow is infinity
  EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()).bits, 0xff80);
  // A NaN whose payload is in the lower half must not become infinity.
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001U)))));
}

TEST(FastMathTest, ExpIsWithinItsBound) {
  double worst = 0;
  for (int i = 0; i <= 1'000'000; ++i) {
    const float x = -87.0F + 175.0F * static_cast<float>(i) / 1e6F;
    worst = std::max(worst, std::abs(fast_exp(x) / std::exp(double(x)) - 1));
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
  EXPECT_EQ(fast_exp(-87.5F), 0.0F);
  EXPECT_EQ(fast_exp(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace limbeck
