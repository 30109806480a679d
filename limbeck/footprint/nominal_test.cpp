#include "limbeck/footprint/nominal.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/footprint/meter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

struct StreamingCase {
  int64_t n, m, chunk, sinks, window, live;
  std::vector<int64_t> peaks;
  double footprint;
};

/// Small cases of streaming heads: live counts row by row and the footprint.
const std::vector<StreamingCase>& streaming_cases() {
  static const std::vector<StreamingCase> cases = {
      {4, 4, 2, 1, 2, 26, {2, 4, 4}, 0.722222},
      {6, 2, 3, 1, 2, 29, {3, 6, 4}, 0.805556},
      {8, 2, 4, 1, 3, 46, {4, 8, 5}, 0.836364},
      {10, 3, 4, 2, 3, 67, {4, 8, 7, 6}, 0.736264},
      {10, 3, 10, 2, 3, 73, {10, 6}, 0.802198},
      {12, 4, 4, 1, 2, 70, {4, 7, 7, 4}, 0.514706},
      {640, 16, 128, 4, 32, 60304, {128, 164, 164, 164, 164, 37}, 0.279838},
      {1000, 50, 256, 16, 64, 189286, {256, 336, 336, 312, 81}, 0.343049},
  };
  return cases;
}

struct TopKCase {
  int64_t n, m, chunk;
  double evicted;
  int64_t observed, live;
  std::vector<int64_t> peaks;
  double footprint;
};

const std::vector<TopKCase>& top_k_cases() {
  static const std::vector<TopKCase> cases = {
      {10, 4, 4, 0.5, 0, 69, {4, 6, 6, 9}, 0.657143},
      {10, 4, 4, 0.5, 1, 89, {4, 7, 8, 12}, 0.847619},
      {10, 4, 10, 0.5, 0, 85, {10, 9}, 0.809524},
      {300, 10, 128, 0.75, 64, 40653, {128, 224, 236, 246}, 0.843336},
      {1000, 50, 256, 0.7, 64, 361265, {256, 397, 538, 655, 607}, 0.654732},
      {1000, 50, 1000, 0.7, 64, 519975, {1000, 414}, 0.942368},
      {1000, 50, 256, 0.9, 64, 276601, {256, 346, 436, 502, 407}, 0.501293},
      {1000, 50, 256, 0.0, 64, 551775, {256, 512, 768, 1000, 1050}, 1.0},
  };
  return cases;
}

double over_full(int64_t live, const NominalRun& run) {
  return static_cast<double>(live) / static_cast<double>(triangle(run.rows()));
}

/// Feeds a meter as the run would and lets `kept` say what a head holds after a forward call.
template <class Kept>
NominalHead metered(const NominalRun& run, double footprint, Kept&& kept) {
  FootprintMeter meter({0}, 1, 4);
  NominalHead out;
  int64_t held = 0;
  for (int64_t at = 0; at < run.rows();) {
    const int64_t rows = at < run.prompt ? std::min(run.chunk, run.prompt - at) : 1;
    meter.on_forward(rows, 0, {&held, 1});
    out.live_sum += triangle(rows) + held * rows;
    if (at < run.prompt)
      out.peaks.push_back(held + rows);
    else if (at + rows == run.rows())
      out.peaks.push_back(held + rows);
    at += rows;
    held = kept(held + rows, rows, at <= run.prompt);
  }
  const FootprintReport r = meter.report();
  EXPECT_NEAR(r.footprint, footprint, 5e-7);
  EXPECT_DOUBLE_EQ(r.footprint, over_full(out.live_sum, run));
  EXPECT_DOUBLE_EQ(r.peak,
                   static_cast<double>(*std::max_element(out.peaks.begin(), out.peaks.end())) /
                       static_cast<double>(run.rows()));
  return out;
}

TEST(NominalTest, StreamingHeadsComeToTheTablesNumbersAndTheMeterAgrees) {
  for (const StreamingCase& c : streaming_cases()) {
    const NominalRun run{c.n, c.m, c.chunk};
    const NominalHead head = nominal_streaming(run, c.sinks, c.window);
    EXPECT_EQ(head.live_sum, c.live);
    EXPECT_EQ(head.peaks, c.peaks);
    EXPECT_NEAR(over_full(head.live_sum, run), c.footprint, 5e-7);
    const NominalHead measured = metered(run, c.footprint, [&](int64_t held, int64_t, bool) {
      return std::min(held, c.sinks + c.window);
    });
    EXPECT_EQ(measured.live_sum, c.live);
    EXPECT_EQ(measured.peaks, c.peaks);
  }
}

TEST(NominalTest, TopKHeadsComeToTheTablesNumbersAndTheMeterAgrees) {
  for (const TopKCase& c : top_k_cases()) {
    const NominalRun run{c.n, c.m, c.chunk};
    const NominalHead head = nominal_top_k(run, c.evicted, c.observed);
    EXPECT_EQ(head.live_sum, c.live);
    EXPECT_EQ(head.peaks, c.peaks);
    const NominalHead measured =
        metered(run, c.footprint, [&](int64_t held, int64_t rows, bool prefill) {
          if (!prefill) return held;
          const int64_t kept = std::min(
              round_half_even((1.0 - c.evicted) * static_cast<double>(rows)) + c.observed, rows);
          return held - rows + kept;
        });
    EXPECT_EQ(measured.live_sum, c.live);
    EXPECT_EQ(measured.peaks, c.peaks);
  }
}

TEST(NominalTest, MixesComeToTheTablesNumbers) {
  struct Case {
    int64_t n, m, chunk, sinks, window;
    double evicted, share, footprint, peak;
  };
  const std::vector<Case> cases = {
      {12, 4, 4, 1, 2, 0, 0.5, 0.757352941, 0.625},
      {640, 16, 128, 4, 32, 0.5, 0.25, 0.819959535, 0.794207317},
      {1000, 50, 256, 16, 64, 0, 0.5, 0.671524625, 0.624761905},
      {1000, 50, 256, 16, 64, 0, 0.7, 0.540134475, 0.493714286},
      {100000, 100, 32768, 128, 1024, 0, 0.7, 0.536078695, 0.531820180},
      {100000, 100, 8192, 128, 1024, 0, 0.7, 0.371259428, 0.359960040},
      {100000, 100, 131072, 128, 1024, 0, 0.7, 0.998618214, 0.999000999},
      {100000, 100, 32768, 0, 0, 0.7, 0, 0.526559472, 0.525034965},
      {100000, 100, 8192, 0, 0, 0.7, 0, 0.363695139, 0.358981019},
      {100000, 100, 32768, 0, 0, 0.9, 0, 0.390926716, 0.394105894},
      {110000, 50, 32768, 128, 1024, 0, 0.9, 0.362781039, 0.366727851},
      {38000, 10000, 32768, 128, 1024, 0, 0.7, 0.645213174, 0.682666667},
  };
  for (const Case& c : cases) {
    const NominalRun run{c.n, c.m, c.chunk};
    const NominalFootprint f = nominal_mix(run, nominal_streaming(run, c.sinks, c.window),
                                           nominal_top_k(run, c.evicted, 64), c.share);
    EXPECT_NEAR(f.footprint, c.footprint, 1e-9) << c.n << " " << c.chunk;
    EXPECT_NEAR(f.peak, c.peak, 1e-9) << c.n << " " << c.chunk;
  }
}

TEST(NominalTest, LongRunsNeedSixtyFourBits) {
  const NominalRun run{100000, 100, 32768};
  EXPECT_EQ(nominal_streaming(run, 128, 1024).live_sum, 1689667508);
  EXPECT_EQ(nominal_top_k(run, 0.7, 64).live_sum, 2638091942);
  EXPECT_EQ(nominal_top_k(run, 0.9, 64).live_sum, 1958564366);
  EXPECT_EQ(triangle(run.rows()), 5010055050);
}

TEST(NominalTest, ReselectionComesToTheTablesNumbers) {
  const NominalRun small{1000, 50, 256};
  const NominalHead head = nominal_reselection(small, 0.7, 100, 50);
  EXPECT_EQ(head.live_sum, 336269);
  EXPECT_EQ(head.peaks, (std::vector<int64_t>{256, 383, 510, 513, 571, 601}));
  EXPECT_NEAR(over_full(head.live_sum, small), 0.609431381, 1e-9);
  const NominalRun large{100000, 100, 32768};
  EXPECT_NEAR(over_full(nominal_reselection(large, 0.7, 100, 2500).live_sum, large), 0.576999240,
              1e-9);
}

TEST(NominalTest, ChunkSizesComeToTheTablesPercentages) {
  struct Case {
    int64_t chunk;
    double streaming, mix, mix_peak, top_k, top_k_peak, plain;
    size_t chunks;
  };
  // n = 128000, m = 128, S = 128, W = 1024, h or s = 0.7; w = 64 and 0.
  const std::vector<Case> cases = {
      {512, 2.19, 31.53, 30.88, 42.81, 42.77, 30.36, 250},
      {1024, 2.58, 31.81, 31.16, 36.74, 36.70, 30.54, 125},
      {2048, 3.36, 32.35, 31.48, 34.17, 33.88, 31.09, 63},
      {4096, 4.92, 33.44, 32.60, 33.74, 33.47, 32.23, 32},
      {8192, 7.98, 35.58, 33.88, 35.14, 33.95, 34.41, 16},
      {16384, 14.09, 39.87, 37.87, 39.11, 37.59, 38.77, 8},
      {32768, 26.33, 48.43, 46.82, 47.64, 46.34, 47.49, 4},
      {65536, 50.81, 65.57, 64.73, 65.00, 64.15, 64.95, 2},
      {131072, 99.80, 99.86, 99.90, 99.86, 99.90, 99.86, 1},
  };
  for (const Case& c : cases) {
    const NominalRun run{128000, 128, c.chunk};
    const NominalHead stream = nominal_streaming(run, 128, 1024);
    const NominalFootprint mix = nominal_mix(run, stream, nominal_full(run), 0.7);
    const NominalFootprint top = nominal_mix(run, stream, nominal_top_k(run, 0.7, 64), 0.0);
    EXPECT_NEAR(100 * over_full(stream.live_sum, run), c.streaming, 0.00501);
    EXPECT_NEAR(100 * mix.footprint, c.mix, 0.00501);
    EXPECT_NEAR(100 * mix.peak, c.mix_peak, 0.00501);
    EXPECT_NEAR(100 * top.footprint, c.top_k, 0.00501);
    EXPECT_NEAR(100 * top.peak, c.top_k_peak, 0.00501);
    EXPECT_NEAR(100 * over_full(nominal_top_k(run, 0.7, 0).live_sum, run), c.plain, 0.00501);
    EXPECT_EQ(stream.peaks.size(), c.chunks + 1);
  }
}

TEST(NominalTest, NothingFreedIsOneForEveryChunk) {
  for (const int64_t chunk : {1, 3, 7, 20, 64}) {
    const NominalRun run{20, 5, chunk};
    EXPECT_EQ(nominal_full(run).live_sum, triangle(25));
    EXPECT_EQ(nominal_top_k(run, 0.0, 64).live_sum, triangle(25));
    EXPECT_EQ(nominal_streaming(run, 10, 15).live_sum, triangle(25));
    EXPECT_EQ(nominal_budget(run, 25).live_sum, triangle(25));
    const NominalHead full = nominal_full(run);
    EXPECT_DOUBLE_EQ(nominal_mix(run, full, full, 0.5).footprint, 1.0);
    EXPECT_DOUBLE_EQ(nominal_mix(run, full, full, 0.5).peak, 1.0);
  }
}

TEST(NominalTest, ABudgetBoundsThePeakWhateverTheLength) {
  // By hand, n = 10, C = 4, B = 3: 10, then 3 + (4, 5, 6, 7) - 3 ... = 4 * 3 + 10, then 2 * 3 + 3.
  const NominalHead head = nominal_budget({10, 2, 4}, 3);
  EXPECT_EQ(head.live_sum, 10 + 22 + 9 + (2 * 3 + 3));
  EXPECT_EQ(head.peaks, (std::vector<int64_t>{4, 7, 5, 5}));
  for (const int64_t peak : nominal_budget({100000, 0, 512}, 1000).peaks) EXPECT_LE(peak, 1512);
}

TEST(NominalTest, SlidingWindowsAreOneBesideThePlainModel) {
  for (const int64_t chunk : {1, 3, 5, 20})
    EXPECT_EQ(nominal_sliding({20, 0, chunk}, 6).live_sum, 105);
}

TEST(NominalTest, PyramidBudgetsComeToTheTablesNumbers) {
  struct Case {
    int64_t rows, cap;
    int64_t patch, first, last, step;
    double mean;
  };
  // L = 32, w = 64; rows and cap with the patch where there is one.
  const std::vector<Case> cases = {
      {32768 + 64, 9830 + 64, 64, 19169, 507, 602, 9838},
      {32768, 9830, 0, 19108, 570, 598, 9839},
      {32768 + 64, 16384 + 64, 64, 31949, 825, 1004, 16387},
      {8192 + 64, 819 + 64, 64, 1598, 48, 50, 823},
      {8192, 819, 0, 1537, 111, 46, 824},
      {1696, 508, 0, 930, 93, 27, 511.5},
  };
  for (const Case& c : cases) {
    const std::vector<int64_t> kept = pyramid_kept(32, c.rows, c.cap, 64);
    EXPECT_EQ(kept.front() - c.patch, c.first);
    EXPECT_EQ(kept.back() - c.patch, c.last);
    EXPECT_EQ(kept[0] - kept[1], c.step);
    double sum = 0;
    for (const int64_t k : kept) sum += static_cast<double>(k - c.patch);
    EXPECT_NEAR(sum / 32, c.mean, 0.5);
  }
  for (const int64_t k : pyramid_kept(32, 32768 + 64, 22937 + 64, 64)) EXPECT_EQ(k - 64, 22937);
  EXPECT_EQ(pyramid_kept(3, 50, 40, 64), (std::vector<int64_t>{50, 50, 50}));
  EXPECT_EQ(pyramid_kept(3, 500, 40, 64), (std::vector<int64_t>{64, 64, 64}));
}

TEST(NominalTest, AutoChunksAndRounding) {
  const std::vector<std::pair<int64_t, int64_t>> chunks = {
      {1, 128},      {1000, 128},    {4096, 128},   {8192, 256},
      {32768, 1024}, {131072, 4096}, {900000, 4096}};
  for (const auto& [n, chunk] : chunks) EXPECT_EQ(auto_chunk(n), chunk);
  const std::vector<std::pair<double, int64_t>> rounded = {{0.5, 0},  {1.5, 2},  {2.5, 2}, {3.5, 4},
                                                           {2.49, 2}, {2.51, 3}, {7, 7}};
  for (const auto& [x, whole] : rounded) EXPECT_EQ(round_half_even(x), whole);
}

TEST(NominalTest, RefusesImpossibleRuns) {
  EXPECT_THROW(nominal_full({0, 1, 4}), InvalidArgument);
  EXPECT_THROW(nominal_full({4, 1, 0}), InvalidArgument);
  const NominalRun run{8, 0, 4};
  EXPECT_THROW(nominal_mix(run, nominal_full(run), nominal_full(run), 1.5), InvalidArgument);
  EXPECT_THROW(nominal_mix(run, nominal_full({8, 2, 4}), nominal_full(run), 0.5), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
