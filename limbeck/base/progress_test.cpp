#include "limbeck/base/progress.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(ProgressTest, LineGivesRateAndTimeLeft) {
  EXPECT_EQ(ProgressPrinter::line({"prefill", "tokens", 512, 4096}, 0.5),
            "prefill 512/4096 tokens, 1024/s, 4 s left");
  EXPECT_EQ(ProgressPrinter::line({"fit", "layers", 30, 30}, 60.0), "fit 30/30 layers, 0.5/s");
  EXPECT_EQ(ProgressPrinter::line({"fit", "layers", 0, 30}, 1.0), "fit 0/30 layers");
  // What an earlier run did says nothing about the rate of this one.
  EXPECT_EQ(ProgressPrinter::line({"eval", "units", 60, 100, 50}, 5.0),
            "eval 60/100 units, 2/s, 20 s left");
}

TEST(ProgressTest, JsonLineHasTheSameNumbers) {
  EXPECT_EQ(ProgressPrinter::json({"prefill", "tokens", 512, 4096}, 0.5),
            R"({"progress":"prefill","unit":"tokens","done":512,"total":4096,)"
            R"("per_second":1024.000,"eta_seconds":3.5})");
}

TEST(ProgressTest, NobodyListeningIsFine) { report_progress({}, {"a", "b", 1, 2}); }

}  // namespace
}  // namespace limbeck
