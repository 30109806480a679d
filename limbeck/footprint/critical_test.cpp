#include "limbeck/footprint/critical.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace limbeck {
namespace {

using Kind = CriticalFootprint::Kind;
using Points = std::vector<FootprintPoint>;

void expect(const CriticalFootprint& found, Kind kind, double value) {
  EXPECT_EQ(found.kind, kind);
  EXPECT_NEAR(found.value, value, 1e-4);
}

TEST(CriticalFootprintTest, FirstFailureFromTheRight) {
  expect(critical_footprint(80, Points{{100, 80}, {70, 78}, {50, 70}, {30, 40}}), Kind::exact, 55);
  expect(critical_footprint(80, Points{{100, 80}, {70, 78}, {50, 76}, {30, 73}}), Kind::below, 30);
  expect(critical_footprint(80, Points{{95, 60}, {70, 50}}), Kind::above, 95);
  expect(critical_footprint(80, Points{{100, 80}, {70, 60}, {50, 75}, {30, 40}}), Kind::exact, 88);
  expect(critical_any(80, Points{{100, 80}, {70, 60}, {50, 75}, {30, 40}}), Kind::exact, 48.2857);
  expect(critical_footprint(80, Points{{100, 80}, {60, 72}, {40, 71}}), Kind::exact, 60);
  expect(critical_footprint(80, Points{{100, 80}, {50, 78}, {50, 60}, {20, 10}}), Kind::exact, 80);
}

TEST(CriticalFootprintTest, OrderOfThePointsDoesNotMatter) {
  expect(critical_footprint(80, Points{{30, 40}, {70, 78}, {100, 80}, {50, 70}}), Kind::exact, 55);
}

TEST(CriticalFootprintTest, CensoredValuesCarryTheirSign) {
  EXPECT_EQ(critical_footprint(80, Points{{30, 80}}).text(), "< 30");
  EXPECT_EQ(critical_footprint(80, Points{{95, 10}}).text(), "> 95");
  EXPECT_EQ(critical_footprint(0, Points{{95, 10}}).text(), "n/a");
  EXPECT_EQ(critical_footprint(80, Points{{100, 80}, {60, 72}, {40, 71}}).text(), "60");
  EXPECT_TRUE(critical_footprint(80, Points{{30, 80}}).censored());
  EXPECT_FALSE(critical_footprint(80, Points{{100, 80}, {60, 72}, {40, 71}}).censored());
}

TEST(CriticalFootprintTest, WhatIsNotANumberIsDroppedAndCounted) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const CriticalFootprint c =
      critical_footprint(80, Points{{100, 80}, {nan, 10}, {70, nan}, {60, 72}, {40, 71}});
  expect(c, Kind::exact, 60);
  EXPECT_EQ(c.dropped, 2);
  EXPECT_EQ(critical_footprint(nan, Points{{100, 80}}).kind, Kind::not_available);
  EXPECT_EQ(critical_footprint(80, Points{}).kind, Kind::not_available);
}

TEST(CriticalFootprintTest, RefusesAnImpossibleFraction) {
  EXPECT_THROW(critical_footprint(80, Points{{1, 1}}, 0.0), InvalidArgument);
  EXPECT_THROW(critical_any(80, Points{{1, 1}}, 1.5), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
