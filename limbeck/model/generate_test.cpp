#include "limbeck/model/generate.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::string run(StopFilter& filter, const std::vector<std::string>& pieces) {
  std::string out;
  for (const auto& piece : pieces) out += filter.push(piece);
  if (!filter.stopped()) out += filter.finish();
  return out;
}

TEST(StopFilterTest, FindsAStopStringAcrossPieces) {
  StopFilter filter({"END"});
  EXPECT_EQ(run(filter, {"some E", "N", "D more"}), "some ");
  EXPECT_TRUE(filter.stopped());
}

TEST(StopFilterTest, HoldsBackOnlyWhatCouldBeginAStopString) {
  StopFilter filter({"END"});
  EXPECT_EQ(filter.push("text EN"), "text ");
  EXPECT_EQ(filter.push("Joy"), "ENJoy");
  EXPECT_EQ(filter.finish(), "");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilterTest, TheEarliestOfSeveralWins) {
  StopFilter filter({"world", "lo w"});
  EXPECT_EQ(run(filter, {"hel", "lo world"}), "hel");
}

TEST(StopFilterTest, RefusesEmptyAndTooManyStrings) {
  EXPECT_THROW(StopFilter({""}), InvalidArgument);
  EXPECT_THROW(StopFilter(std::vector<std::string>(9, "x")), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
