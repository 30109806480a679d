#include "limbeck/footprint/meter.h"

#include "limbeck/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

void feed(FootprintMeter& meter, int64_t rows, std::vector<int64_t> held, int64_t auxiliary = 0) {
  meter.on_forward(rows, auxiliary, held);
}

TEST(FootprintMeterTest, RaggedHeads) {
  FootprintMeter meter({0}, 2, 4);
  const std::vector<double> peaks = {4, 7, 7, 8};
  const std::vector<std::vector<int64_t>> calls = {{4, 0, 0}, {4, 2, 4}, {1, 4, 8}, {1, 5, 9}};
  for (size_t i = 0; i < calls.size(); ++i) {
    feed(meter, calls[i][0], {calls[i][1], calls[i][2]});
    const FootprintReport r = meter.report();
    EXPECT_NEAR(r.peak * static_cast<double>(r.rows), peaks[i], 1e-12);
  }
  const FootprintReport r = meter.report();
  EXPECT_DOUBLE_EQ(r.heads[0], 39.0 / 55);
  EXPECT_DOUBLE_EQ(r.heads[1], 55.0 / 55);
  EXPECT_NEAR(r.footprint, 0.854545, 5e-7);
  EXPECT_DOUBLE_EQ(r.peak, 0.8);
  EXPECT_EQ(r.rows, 10);
}

TEST(FootprintMeterTest, CompactionAfterPrefill) {
  for (const auto& [m, footprint, after] :
       {std::tuple{50, 0.918445, 0.122379}, std::tuple{5000, 0.750042, 0.742894}}) {
    FootprintMeter meter({0}, 1, 4);
    feed(meter, 1000, {0});
    EXPECT_TRUE(std::isnan(meter.report().footprint_after));
    meter.on_compaction(400);
    for (int64_t i = 0; i < m; ++i) feed(meter, 1, {100 + i});
    const FootprintReport r = meter.report();
    EXPECT_NEAR(r.footprint, footprint, 5e-7);
    EXPECT_NEAR(r.footprint_after, after, 5e-7);
    EXPECT_NEAR(r.peak, std::max(1000.0, 100.0 + m) / (1000.0 + m), 5e-7);
    EXPECT_EQ(r.kv_bytes, 400);
  }
}

TEST(FootprintMeterTest, AuxiliaryRowsAreCountedApart) {
  FootprintMeter meter({0}, 1, 4);
  feed(meter, 4, {3}, 2);
  const FootprintReport r = meter.report();
  EXPECT_DOUBLE_EQ(r.footprint, 22.0 / 10);
  EXPECT_DOUBLE_EQ(r.footprint_total, (22.0 + 17.0) / 10);
  EXPECT_DOUBLE_EQ(r.peak, 9.0 / 4);
}

TEST(FootprintMeterTest, TheTimelineHasCornersOnly) {
  using Corners = std::vector<std::pair<int64_t, double>>;
  const auto corners = [](const FootprintMeter& meter) {
    Corners out;
    for (const HeldPoint& p : meter.report().timeline) out.emplace_back(p.step, p.entries);
    return out;
  };
  FootprintMeter meter({0, 0}, 1, 4);
  feed(meter, 2, {0, 0});
  EXPECT_TRUE(corners(meter).empty());  // nobody asked for it
  meter.restart(0);
  meter.keep_timeline();
  feed(meter, 6, {0, 0});
  feed(meter, 4, {6, 6});       // goes on where the call before ended
  feed(meter, 0, {10, 10}, 5);  // a pass for queries
  meter.on_compaction(24, std::vector<int64_t>{2, 4});
  EXPECT_EQ(corners(meter), (Corners{{0, 0}, {15, 15}, {15, 3}}));
  for (int64_t i = 0; i < 3; ++i) feed(meter, 1, {2 + i, 4 + i});
  EXPECT_EQ(corners(meter), (Corners{{0, 0}, {15, 15}, {15, 3}, {18, 6}}));
  feed(meter, 0, {5, 7}, 2);
  feed(meter, 1, {5, 7});
  EXPECT_EQ(corners(meter), (Corners{{0, 0}, {15, 15}, {15, 3}, {20, 8}, {20, 6}, {21, 7}}));
  meter.restart(21);
  EXPECT_TRUE(corners(meter).empty());
}

TEST(FootprintMeterTest, TheAreaUnderTheTimelineIsTheFootprint) {
  Random random(7);
  for (int trial = 0; trial < 20; ++trial) {
    FootprintMeter meter({0, 0}, 2, 4);
    meter.keep_timeline();
    std::vector<int64_t> held(4, 0);
    for (int call = 0; call < 30; ++call) {
      const auto rows = static_cast<int64_t>(4 * random.uniform());
      feed(meter, rows, held, random.uniform() < 0.2 ? 3 : 0);
      for (int64_t& h : held) {
        h += rows;
        if (random.uniform() < 0.2) h /= 2;
      }
    }
    const FootprintReport r = meter.report();
    // A row's live count has the row itself: half an entry more than the line in its middle.
    double area = 0;
    for (size_t i = 1; i < r.timeline.size(); ++i) {
      const HeldPoint &a = r.timeline[i - 1], &b = r.timeline[i];
      area += static_cast<double>(b.step - a.step) * ((a.entries + b.entries) / 2 + 0.5);
    }
    EXPECT_NEAR(area / static_cast<double>(triangle(r.rows)), r.footprint_total, 1e-9);
  }
}

TEST(FootprintMeterTest, OneRowIsOne) {
  FootprintMeter meter({0, 4}, 3, 4);
  feed(meter, 1, {0, 0, 0, 0, 0, 0});
  EXPECT_DOUBLE_EQ(meter.report().footprint, 1.0);
  EXPECT_DOUBLE_EQ(meter.report().peak, 1.0);
}

TEST(FootprintMeterTest, NativeWindowsAreOneForEveryChunk) {
  for (const int64_t chunk : {1, 3, 5, 20}) {
    FootprintMeter meter({6}, 1, 4);
    // A ring keeps what the next row may see besides itself.
    for (int64_t at = 0; at < 20; at += chunk)
      feed(meter, std::min<int64_t>(chunk, 20 - at), {std::min<int64_t>(at, 5)});
    EXPECT_DOUBLE_EQ(meter.report().heads[0], 1.0) << chunk;
    EXPECT_DOUBLE_EQ(meter.report().peak, 1.0) << chunk;
  }
  EXPECT_EQ(full_live_sum(20, 6), 105);
}

TEST(FootprintMeterTest, LiveCountsOverRowsAreLifetimesOverEntries) {
  Random random(7);
  for (int round = 0; round < 20; ++round) {
    FootprintMeter meter({0}, 1, 4);
    std::vector<int64_t> born;  // of the entries that are held
    int64_t rows = 0, lifetimes = 0;
    while (rows < 60) {
      const auto c = static_cast<int64_t>(1 + random.below(7));
      feed(meter, c, {static_cast<int64_t>(born.size())});
      for (int64_t i = 0; i < c; ++i) born.push_back(++rows);
      for (size_t i = 0; i < born.size();) {
        if (random.below(3) != 0) {
          ++i;
          continue;
        }
        lifetimes += rows - born[i] + 1;
        born.erase(born.begin() + static_cast<int64_t>(i));
      }
    }
    for (const int64_t b : born) lifetimes += rows - b + 1;
    EXPECT_NEAR(meter.report().footprint * static_cast<double>(triangle(rows)),
                static_cast<double>(lifetimes), 1e-6);
  }
}

TEST(FootprintMeterTest, QuestionsContinueFromCopiesOfTheContextsMeter) {
  FootprintMeter context({0}, 1, 4);
  feed(context, 100, {0});
  context.on_compaction(40);
  FootprintMeter first = context, second = context;
  feed(first, 30, {10});
  feed(second, 5, {10});
  FootprintMeter alone({0}, 1, 4);
  feed(alone, 100, {0});
  alone.on_compaction(40);
  feed(alone, 5, {10});
  EXPECT_DOUBLE_EQ(second.report().footprint, alone.report().footprint);
  EXPECT_DOUBLE_EQ(second.report().footprint_after, alone.report().footprint_after);
}

TEST(FootprintMeterTest, RowsThatWereRunElsewhereAreNotJudged) {
  FootprintMeter meter({0}, 1, 4);
  meter.restart(100);
  EXPECT_TRUE(std::isnan(meter.report().footprint));
  feed(meter, 10, {20});
  const FootprintReport r = meter.report();
  EXPECT_DOUBLE_EQ(r.footprint, (55.0 + 200.0) / (triangle(110) - triangle(100)));
  EXPECT_DOUBLE_EQ(r.peak, 30.0 / 110);
  EXPECT_EQ(r.first_row, 100);
}

TEST(FootprintMeterTest, BytesOverTime) {
  FootprintMeter meter({0}, 2, 8);
  feed(meter, 4, {0, 0});
  meter.on_bytes(4, 64);  // what 4 entries of two heads need, over all four rows
  meter.on_transient_bytes(100);
  const FootprintReport r = meter.report();
  EXPECT_DOUBLE_EQ(r.byte_footprint, 4.0 * 64 / (8 * 2 * 10));
  EXPECT_EQ(r.kv_bytes, 64);
  EXPECT_EQ(r.kv_bytes_peak, 100);
}

}  // namespace
}  // namespace limbeck
