#include "limbeck/eval/power_calibration.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(PowerCalibrationTest, APowerMustBeWorthIt) {
  const std::vector<PowerTrial> better = {{0.0, 1.17, 0.22}, {0.15, 0.8, 0.24}, {0.35, 0.67, 0.23}};
  EXPECT_EQ(best_coverage_power(better), 0.35);
  const std::vector<PowerTrial> worse = {{0.0, 1.94, 0.79}, {0.15, 2.86, 0.80}, {0.35, 2.69, 0.79}};
  EXPECT_EQ(best_coverage_power(worse), 0.0);
  const std::vector<PowerTrial> alike = {{0.0, 1.0, 0.2}, {0.15, 0.95, 0.18}};
  EXPECT_EQ(best_coverage_power(alike), 0.0);
  // What the answers gain and the text loses cancels.
  const std::vector<PowerTrial> traded = {{0.0, 1.0, 0.2}, {0.35, 0.8, 0.5}};
  EXPECT_EQ(best_coverage_power(traded), 0.0);
}

}  // namespace
}  // namespace limbeck
