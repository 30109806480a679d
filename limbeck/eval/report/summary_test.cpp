#include "limbeck/eval/report/summary.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/report_testing.h"
#include "limbeck/eval/report/summary_groups.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <tuple>

namespace limbeck {
namespace {

using nlohmann::json;
using test::row;
using test::small_run;

const SummaryCell& cell(const Summary& s, const std::string& task, const std::string& method,
                        double budget) {
  const SummaryCell* found = s.find({task, 4096, "agnostic", method, budget});
  if (found == nullptr) throw InternalError("no cell {} {} {}", task, method, budget);
  return *found;
}

TEST(SummaryTest, CellsHaveScoresMemoryAndCounts) {
  const Summary s = summarise_samples(small_run());
  EXPECT_EQ(s.cells.size(), 10U);
  const SummaryCell& c = cell(s, "vt", "good", 0.25);
  EXPECT_DOUBLE_EQ(c.score.mean, 15.0 / 16);
  EXPECT_LE(c.score.ci.low, c.score.mean);
  EXPECT_EQ(c.score.ci.high, 1);
  EXPECT_DOUBLE_EQ(c.relative, 100 * 15.0 / 16);
  ASSERT_TRUE(c.from_full.has_value());
  EXPECT_DOUBLE_EQ(c.from_full->mean, -1.0 / 16);
  EXPECT_EQ(c.from_full->ci.high, 0);
  EXPECT_EQ(c.from_full->documents, 8);
  EXPECT_DOUBLE_EQ(c.kept, 1000);
  EXPECT_EQ(c.kept_min, 500);
  EXPECT_EQ(c.kept_max, 1500);
  EXPECT_DOUBLE_EQ(c.kv_bytes, 1000.0 * 1024 * 28);
  EXPECT_DOUBLE_EQ(c.footprint_after, 0.25);
  EXPECT_EQ(c.documents, 8);
  EXPECT_EQ(c.questions, 8);
  EXPECT_DOUBLE_EQ(c.parse_rate, 1);
  EXPECT_FALSE(cell(s, "vt", "full", 1).from_full.has_value());
  EXPECT_TRUE(cell(s, "vt", "bad", 0.5).from_full->ci.excludes(0));
}

TEST(SummaryTest, TimingIsRobustAndStagesOfAUnitCountOnce) {
  std::vector<SampleRow> rows = small_run();
  for (size_t i = 0, n = rows.size(); i < n; ++i) {
    SampleRow second = rows[i];
    second.q_id = "1";
    rows.push_back(second);
  }
  const Summary s = summarise_samples(rows);
  const CellTiming& t = cell(s, "vt", "good", 0.5).timing;
  EXPECT_EQ(t.compaction.count, 8);
  EXPECT_DOUBLE_EQ(t.compaction.median, 0.5 + 0.125 * 3.5);
  EXPECT_DOUBLE_EQ(t.compaction.min, 0.5);
  ASSERT_EQ(t.seconds.size(), 4U);
  EXPECT_EQ(t.seconds[0].first, "prefill");
  EXPECT_EQ(t.seconds[0].second.count, 8);
  EXPECT_EQ(t.seconds[3].first, "decode");
  EXPECT_EQ(t.seconds[3].second.count, 16);
  EXPECT_DOUBLE_EQ(t.decode_rate.median, 10);
}

TEST(SummaryTest, QuestionsAreAveragedWithinTheirDocument) {
  std::vector<SampleRow> rows{row("vt", 0, "full", 1, 1), row("vt", 1, "full", 1, 0)};
  for (int i = 1; i < 4; ++i) {
    rows.push_back(row("vt", 0, "full", 1, 1));
    rows.back().q_id = std::to_string(i);
  }
  const Summary s = summarise_samples(rows);
  EXPECT_DOUBLE_EQ(s.cells[0].score.mean, 0.5);
  EXPECT_EQ(s.cells[0].questions, 5);
  EXPECT_EQ(s.cells[0].documents, 2);
}

TEST(SummaryTest, FailedRowsScoreZeroAndSayNothingElse) {
  std::vector<SampleRow> rows{row("vt", 0, "good", 0.5, 1), row("vt", 1, "good", 0.5, 0)};
  rows[1].error = "out of memory";
  rows[1].finish = "error";
  rows[1].kv_bytes = 0;
  rows[1].kept_min = rows[1].kept_max = 0;
  rows[0].metrics["kl"] = 0.25;
  rows[0].truncated = true;
  const Summary s = summarise_samples(rows);
  const SummaryCell& c = s.cells[0];
  EXPECT_DOUBLE_EQ(c.score.mean, 0.5);
  EXPECT_EQ(c.failed, 1);
  EXPECT_EQ(c.truncated, 1);
  EXPECT_DOUBLE_EQ(c.parse_rate, 0.5);
  EXPECT_EQ(c.kept_min, 1000);
  EXPECT_DOUBLE_EQ(c.kv_bytes, 2000.0 * 1024 * 28);
  EXPECT_EQ(c.timing.compaction.count, 1);
  EXPECT_EQ(c.metrics, (std::map<std::string, double>{{"kl", 0.25}}));
  EXPECT_TRUE(std::isnan(c.relative));
}

TEST(SummaryTest, GroupsAverageTasksAndNameThoseLeftOut) {
  std::vector<SampleRow> rows = small_run();
  for (int64_t i = 0; i < 8; ++i) {
    rows.push_back(row("fwe", i, "full", 1, i < 3 ? 1 : 0));
    rows.push_back(row("fwe", i, "good", 0.25, 0));
  }
  const Summary s = summarise_samples(rows);
  ASSERT_EQ(s.left_out.size(), 1U);
  EXPECT_EQ(s.left_out[0].task, "fwe");
  EXPECT_DOUBLE_EQ(s.left_out[0].full_score, 0.375);
  for (const SummaryGroup& g : s.groups) {
    EXPECT_EQ(g.tasks, (std::vector<std::string>{"cwe", "vt"}));
    EXPECT_TRUE(g.missing.empty());
    if (g.method != "good" || g.budget != 0.25) continue;
    EXPECT_DOUBLE_EQ(g.score.mean, 15.0 / 16);
    EXPECT_DOUBLE_EQ(g.all.score.mean, (15.0 / 16 + 15.0 / 16 + 0) / 3);
    EXPECT_EQ(g.all.from_full->documents, 24);
    EXPECT_EQ(&g.judged_or_all(), static_cast<const TasksMean*>(&g));
    EXPECT_EQ(g.from_full->documents, 16);
    EXPECT_DOUBLE_EQ(g.relative, 100 * 15.0 / 16);
  }
  // Where no task counts, costs are those of all.
  for (SampleRow& r : rows)
    if (r.method == "full") r.score = 0.25;
  for (const SummaryGroup& g : summarise_samples(rows).groups) {
    EXPECT_TRUE(g.tasks.empty());
    EXPECT_TRUE(std::isnan(g.score.mean));
    EXPECT_EQ(&g.judged_or_all(), &g.all);
    const bool whole = g.method == "full" || (g.method == "good" && g.budget == 0.25);
    EXPECT_EQ(std::isfinite(g.all.score.mean), whole);  // the others were not run on fwe
    EXPECT_EQ(std::isfinite(g.kv_bytes) && std::isfinite(g.compaction_seconds), whole);
    if (whole) {
      EXPECT_DOUBLE_EQ(g.kept_ratio, g.budget);
    }
    if (!whole || g.method == "full") continue;
    EXPECT_DOUBLE_EQ(g.all.score.mean, (15.0 / 16 + 15.0 / 16 + 0) / 3);
    EXPECT_DOUBLE_EQ(g.all.from_full->mean, g.all.score.mean - 0.25);
  }
  const Summary all = summarise_samples(rows, {.min_full_score = 0});
  EXPECT_TRUE(all.left_out.empty());
  for (const SummaryGroup& g : all.groups)
    if (g.method == "bad") {
      EXPECT_EQ(g.missing, (std::vector<std::string>{"fwe"}));
      EXPECT_TRUE(std::isnan(g.score.mean));
    }
}

TEST(SummaryTest, OrderOfTheRowsDoesNotMatter) {
  std::vector<SampleRow> rows = small_run();
  const std::string once = summary_to_json(summarise_samples(rows)).dump();
  for (uint64_t seed = 0; seed < 3; ++seed) {
    test::shuffle(rows, seed);
    EXPECT_EQ(summary_to_json(summarise_samples(rows)).dump(), once);
  }
}

TEST(SummaryTest, TwoRunsAgreeApartFromTiming) {
  std::vector<SampleRow> rows = small_run();
  const auto once = summary_to_json(summarise_samples(rows));
  for (SampleRow& r : rows) {
    r.compaction_seconds *= 2;
    for (auto& [stage, s] : r.seconds) s *= 3;
  }
  const auto again = summary_to_json(summarise_samples(rows));
  EXPECT_NE(once.dump(), again.dump());
  EXPECT_EQ(without_timing(once).dump(), without_timing(again).dump());
}

TEST(SummaryTest, ComesBackFromItsJson) {
  std::vector<SampleRow> rows = small_run();
  rows[0].footprint = std::numeric_limits<double>::quiet_NaN();
  rows[1].metrics["kl"] = 1;
  const std::string text = summary_to_json(summarise_samples(rows)).dump();
  EXPECT_EQ(summary_to_json(summary_from_json(json::parse(text), "[summary] x")).dump(), text);
}

TEST(SummaryTest, BrokenJsonNamesItsField) {
  json j = json::parse(summary_to_json(summarise_samples(small_run())).dump());
  const auto error = [](const json& broken) {
    try {
      summary_from_json(broken, "[summary] s.json");
    } catch (const FormatError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  json b = j;
  b["cells"][1]["kept"] = "x";
  EXPECT_EQ(error(b),
            "[summary] s.json: cells[1]: field kept must be a number or null; found "
            "string");
  b = j;
  b["cells"][0]["ci"] = {1};
  EXPECT_EQ(error(b),
            "[summary] s.json: cells[0]: field ci must be a list of two numbers; found array");
  b = j;
  b["critical"][0]["critical"]["kind"] = "often";
  EXPECT_NE(error(b).find("kind must be one of"), std::string::npos);
  b = j;
  b["limbeck_summary"] = 4;
  EXPECT_EQ(error(b), "[summary] s.json: field limbeck_summary must be 1 to 3; found 4");
  EXPECT_NE(error(json()), "no error");
}

TEST(SummaryTest, CriticalFootprintsAreOverTheBudgetsOfAMethod) {
  std::vector<SampleRow> rows{row("vt", 0, "full", 1, 1), row("vt", 0, "good", 0.5, 1),
                              row("vt", 0, "good", 0.25, 0), row("vt", 0, "none", 0, 0)};
  const Summary s = summarise_samples(rows);
  ASSERT_EQ(s.critical.size(), 1U);
  EXPECT_EQ(s.critical[0].method, "good");
  EXPECT_EQ(s.critical[0].grid.size(), 2U);
  EXPECT_EQ(s.critical[0].critical.kind, CriticalFootprint::Kind::exact);
  EXPECT_NEAR(s.critical[0].critical.value, 0.6625 + 0.9 * (0.775 - 0.6625), 1e-12);
}

/// Footprints that grow while less is kept, as those of short answers behind a long prefill do.
TEST(SummaryTest, CriticalKeptPartsAreOverWhatIsKept) {
  std::vector<SampleRow> rows{row("vt", 0, "full", 1, 1), row("vt", 0, "good", 0.5, 1),
                              row("vt", 0, "good", 0.25, 0.5), row("vt", 0, "good", 0.125, 0)};
  for (SampleRow& r : rows)
    if (r.method == "good") {
      r.kept_ratio = r.budget;
      r.footprint_total = 4 - r.budget;
    }
  const Summary s = summarise_samples(rows);
  EXPECT_EQ(s.critical[0].critical.kind, CriticalFootprint::Kind::above);
  const std::vector<SummaryCritical> kept = critical_kept(s);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].critical.kind, CriticalFootprint::Kind::exact);
  EXPECT_NEAR(kept[0].critical.value, 0.25 + 0.8 * 0.25, 1e-12);
  const Summary again = summary_from_json(json::parse(summary_to_json(s).dump()), "s");
  EXPECT_EQ(summary_to_json(again), summary_to_json(s));
}

TEST(SummaryTest, ModesDoNotMix) {
  std::vector<SampleRow> rows = small_run();
  for (size_t i = 0, n = rows.size(); i < n; ++i) {
    SampleRow aware = rows[i];
    aware.mode = "aware";
    rows.push_back(aware);
  }
  EXPECT_EQ(summarise_samples(rows).cells.size(), 20U);
}

TEST(SummaryTest, RefusesWhatCannotBeOneRun) {
  std::vector<SampleRow> rows = small_run();
  rows.push_back(rows[3]);
  EXPECT_THROW(summarise_samples(rows), InvalidArgument);
  rows = small_run();
  rows.push_back(rows[3]);
  rows.back().ordinal = 77;
  EXPECT_THROW(summarise_samples(rows), InvalidArgument);
  rows = small_run();
  rows[0].budget = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(summarise_samples(rows), InvalidArgument);
  EXPECT_THROW(summarise_samples({}, {.phi = 0}), InvalidArgument);
  EXPECT_TRUE(summarise_samples({}).cells.empty());
}

TEST(SummaryTest, CategoriesAverageEveryTask) {
  std::vector<SampleRow> rows;
  for (const auto& [task, category, full, half] :
       {std::tuple{"a", "one", 0.2, 0.1}, std::tuple{"b", "one", 0.6, 0.5},
        std::tuple{"c", "two", 1.0, 0.5}, std::tuple{"d", "", 1.0, 1.0}}) {
    for (const auto& [method, budget, score] :
         {std::tuple{"full", 1.0, full}, std::tuple{"good", 0.5, half}}) {
      rows.push_back(row(task, 0, method, budget, score));
      rows.back().category = category;
    }
  }
  rows.push_back(row("c", 0, "part", 0.5, 1.0));
  rows.back().category = "two";
  rows.push_back(row("a", 0, "part", 0.5, 1.0));
  rows.back().category = "one";
  const Summary s = summarise_samples(rows);
  const auto find = [&](const std::string& category, const std::string& method) {
    for (const SummaryCategory& c : s.categories)
      if (c.category == category && c.method == method) return c;
    throw InternalError("no category {} of {}", category, method);
  };
  EXPECT_EQ(s.categories.size(), 6U);
  EXPECT_DOUBLE_EQ(find("one", "full").score, 0.4);  // the full cache's 0.2 is not left out
  EXPECT_DOUBLE_EQ(find("one", "good").score, 0.3);
  EXPECT_DOUBLE_EQ(find("one", "good").relative, 75);
  EXPECT_EQ(find("one", "good").tasks, 2);
  EXPECT_DOUBLE_EQ(find("two", "part").score, 1);
  EXPECT_TRUE(std::isnan(find("one", "part").score));  // without b
}

TEST(SummaryTest, PerplexityIsOfTheMeanAndMemoryIsTheHighest) {
  std::vector<SampleRow> rows;
  for (int64_t i = 0; i < 2; ++i) {
    rows.push_back(row("lm", i, "good", 0.5, 1));
    rows.back().metrics["nll"] = static_cast<double>(i);
    rows.back().metrics["nll_full [1,16)"] = 2.0 * static_cast<double>(i);
    rows.back().rss_peak = 100 * (2 - i);
  }
  const SummaryCell c = summarise_samples(rows).cells[0];
  EXPECT_DOUBLE_EQ(c.metrics.at("ppl"), std::exp(0.5));
  EXPECT_DOUBLE_EQ(c.metrics.at("ppl_full [1,16)"), std::exp(1.0));
  EXPECT_DOUBLE_EQ(c.timing.rss_peak, 200);
  EXPECT_DOUBLE_EQ(c.timing.first_token.median, 0.5);
  const json text = json::parse(summary_to_json(summarise_samples(rows)).dump());
  EXPECT_EQ(summary_to_json(summary_from_json(text, "[x]")).dump(),
            summary_to_json(summarise_samples(rows)).dump());
}

}  // namespace
}  // namespace limbeck
