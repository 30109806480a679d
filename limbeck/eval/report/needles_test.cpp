#include "limbeck/eval/report/needles.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/markdown.h"
#include "limbeck/eval/report/report_testing.h"
#include "limbeck/eval/report/summary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace limbeck {
namespace {

using nlohmann::json;
using test::row;

/// Three depths at 4K, two of which are there at 1000 tokens too; the middle is missed once in two.
std::vector<SampleRow> grid_rows() {
  std::vector<SampleRow> rows;
  for (const double depth : {0.0, 50.0, 100.0})
    for (int64_t i = 0; i < 2; ++i)
      for (const int64_t length : {4096, 1000}) {
        if (length == 1000 && depth == 100) continue;
        SampleRow r = row("needle_grid", static_cast<int64_t>(depth) + i, "good", 0.5,
                          depth == 50 && i == 0 && length == 4096 ? 0 : 1);
        r.group = "needle_grid";
        r.length = length;
        r.doc_id = fmt::format("{}-{}", length, r.ordinal);
        r.metrics["depth"] = depth;
        rows.push_back(r);
      }
  return rows;
}

TEST(NeedleGridTest, HasAMatrixItsMeanAndItsWorstCell) {
  std::vector<SampleRow> rows = grid_rows();
  SampleRow full = rows[0];
  full.method = "full";
  full.budget = 1;
  rows.push_back(full);
  rows.push_back(row("vt", 0, "good", 0.5, 0));  // no needles
  const std::vector<NeedleGrid> grids = needle_grids(rows);
  ASSERT_EQ(grids.size(), 2U);
  EXPECT_EQ(grids[0].method, "full");
  const NeedleGrid& g = grids[1];
  EXPECT_EQ(g.depths, (std::vector<double>{0, 50, 100}));
  EXPECT_EQ(g.lengths, (std::vector<int64_t>{1000, 4096}));
  EXPECT_EQ(g.scores[0], (std::vector<double>{1, 1}));
  EXPECT_EQ(g.scores[1], (std::vector<double>{1, 0.5}));
  EXPECT_TRUE(std::isnan(g.scores[2][0]));
  EXPECT_DOUBLE_EQ(g.mean, 4.5 / 5);
  EXPECT_EQ(g.worst, 0.5);
  EXPECT_EQ(g.worst_depth, 50);
  EXPECT_EQ(g.worst_length, 4096);
}

TEST(NeedleGridTest, DepthsThatAreAllDifferentAreNoGrid) {
  std::vector<SampleRow> rows;
  for (int64_t i = 0; i < 400; ++i) {
    SampleRow r = grid_rows()[0];
    r.doc_id = std::to_string(i);
    r.length = 1000 + i;
    r.metrics["depth"] = static_cast<double>(i) / 4;
    rows.push_back(r);
  }
  EXPECT_THROW(needle_grids(rows), FormatError);
}

TEST(NeedleGridTest, StandsInTheSummaryAndItsTables) {
  const Summary s = summarise_samples(grid_rows());
  const std::string text = summary_to_json(s).dump();
  EXPECT_EQ(summary_to_json(summary_from_json(json::parse(text), "[summary] x")).dump(), text);
  EXPECT_NE(summary_markdown(s, {}).find(
                "| good | 50 % | needle\\_grid | agnostic | 90.0 | 50.0 | depth 50 %, 4K tokens |"),
            std::string::npos)
      << summary_markdown(s, {});
  json broken = json::parse(text);
  broken["needles"][0]["scores"].erase(0);
  EXPECT_THROW(summary_from_json(broken, "[summary] x"), FormatError);
  broken = json::parse(text);
  broken["needles"][0]["scores"][1][0] = "x";
  EXPECT_THROW(summary_from_json(broken, "[summary] x"), FormatError);
}

}  // namespace
}  // namespace limbeck
