#include "limbeck/eval/eval_summary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace limbeck {
namespace {

EvalRow row(int64_t length, int64_t context, const std::string& method, double ratio, double kl,
            int64_t right, double seconds) {
  EvalRow r;
  r.key = {length, context, method, ratio};
  r.answers = {kl, 0.5, 1.0, 1.0, 28};
  r.continuation = {kl / 2, 0.75, 3.0, 3.0 + kl, 159};
  r.needles = 4;
  r.needles_right = right;
  r.kept = ratio;
  r.bytes = 1 << 20;
  r.shared = {{"prefill", 1.0}};
  if (seconds > 0) r.compaction = {{"scores", seconds}};
  return r;
}

TEST(EvalSummaryTest, MeansWithStandardErrorsAndMedians) {
  const std::vector<EvalRow> rows = {row(1024, 0, "kvzip", 0.1, 0.1, 4, 9.0),
                                     row(1024, 1, "kvzip", 0.1, 0.2, 2, 1.0),
                                     row(1024, 2, "kvzip", 0.1, 0.6, 3, 2.0)};
  const auto all = summarise_rows(rows);
  ASSERT_EQ(all.size(), 1U);
  const EvalSummary& s = all[0];
  EXPECT_EQ(s.contexts, 3);
  EXPECT_NEAR(s.kl_answers.mean, 0.3, 1e-12);
  // Sample deviation sqrt(0.07), over sqrt(3).
  EXPECT_NEAR(s.kl_answers.error, std::sqrt(0.07 / 3.0), 1e-12);
  EXPECT_NEAR(s.kl_continuation.mean, 0.15, 1e-12);
  EXPECT_NEAR(s.needles.mean, 0.75, 1e-12);
  EXPECT_NEAR(s.perplexity_ratio, std::exp(0.3), 1e-12);
  EXPECT_EQ(s.compaction_seconds, 2.0);
  EXPECT_EQ(s.seconds, (StageSeconds{{"prefill", 1.0}, {"compaction scores", 2.0}}));
}

TEST(EvalSummaryTest, GroupsByLengthMethodAndRatioInOrder) {
  const std::vector<EvalRow> rows = {
      row(1024, 0, "full", 1.0, 0, 4, 0), row(1024, 0, "b", 0.2, 1, 4, 0),
      row(1024, 0, "b", 0.1, 1, 4, 0),    row(1024, 0, "a", 0.1, 1, 4, 0),
      row(1024, 1, "b", 0.2, 1, 4, 0),    row(512, 0, "full", 1.0, 0, 4, 0)};
  std::vector<std::string> order;
  for (const EvalSummary& s : summarise_rows(rows))
    order.push_back(fmt::format("{} {} {} {}", s.length, s.method, s.ratio, s.contexts));
  EXPECT_EQ(order, (std::vector<std::string>{"1024 full 1 1", "1024 b 0.2 2", "1024 b 0.1 1",
                                             "1024 a 0.1 1", "512 full 1 1"}));
}

TEST(EvalSummaryTest, MarkdownIsATableForEachLength) {
  std::vector<EvalRow> rows = {
      row(1024, 0, "full", 1.0, 0, 4, 0), row(1024, 1, "full", 1.0, 0, 4, 0),
      row(1024, 0, "a|b", 0.1, 0.1, 3, 0.5), row(1024, 1, "a|b", 0.1, 0.1, 1, 0.5),
      row(512, 0, "full", 1.0, 0, 4, 0)};
  for (const size_t i : {2, 3}) {
    rows[i].footprint = 0.9;
    rows[i].footprint_total = 0.95;
    rows[i].footprint_after = 0.125;
    rows[i].peak = 0.97;
  }
  const std::string head =
      "| method | kept | KL answers | KL continuation | needles % | same top token %: answers / "
      "continuation | perplexity ratio | MiB | footprint %: total / after / peak | seconds "
      "|\n|---|---|---|---|---|---|---|---|---|---|\n";
  EXPECT_EQ(
      summary_markdown(summarise_rows(rows)),
      "### 1024 tokens, 2 contexts; median seconds: prefill 1.00\n\n" + head +
          "| full | 1.0000 | 0.0000 ± 0.0000 | 0.0000 ± 0.0000 | 100.0 ± 0.0 | 50.0 / 75.0 | "
          "1.0000 | 1.00 | - / - / - | - |\n"
          "| a\\|b | 0.1000 | 0.1000 ± 0.0000 | 0.0500 ± 0.0000 | 50.0 ± 25.0 | 50.0 / 75.0 "
          "| 1.1052 | 1.00 | 95.0 / 12.5 / 97.0 | 0.50 |\n"
          "\n### 512 tokens, 1 context; median seconds: prefill 1.00\n\n" +
          head +
          "| full | 1.0000 | 0.0000 | 0.0000 | 100.0 | 50.0 / 75.0 | 1.0000 | 1.00 | - / - / - "
          "| - |\n");
  for (EvalRow& r : rows) r.engine = "abc";
  EXPECT_EQ(summary_markdown(summarise_rows(rows)).find("versions"), std::string::npos);
  rows[4].engine = "def+";
  rows[3].engine = "";
  EXPECT_TRUE(summary_markdown(summarise_rows(rows))
                  .ends_with("\nRows were measured by several versions: abc, an unknown one, "
                             "def+.\n"));
}

TEST(EvalSummaryTest, CriticalFootprintsCarryTheirGridAndSign) {
  std::vector<EvalRow> rows = {row(512, 0, "full", 1.0, 0, 4, 0), row(512, 0, "a", 0.5, 0, 4, 0),
                               row(512, 0, "a", 0.1, 0, 2, 0), row(512, 0, "b", 0.1, 0, 4, 0)};
  const std::vector<double> footprints = {1.0, 0.8, 0.6, 0.7};
  for (size_t i = 0; i < rows.size(); ++i) rows[i].footprint_total = footprints[i];
  const std::vector<EvalCritical> critical = critical_footprints(summarise_rows(rows));
  ASSERT_EQ(critical.size(), 2u);
  // From all four needles at 0.8 to two at 0.6: 90 % of four are reached at 0.76.
  EXPECT_NEAR(critical[0].critical.value, 0.76, 1e-12);
  EXPECT_EQ(critical[1].critical.text(), "< 0.7");
  const auto j = nlohmann::json::parse(critical_to_json(critical[1]).dump());
  EXPECT_TRUE(j["censored"].get<bool>());
  EXPECT_EQ(j["phi"], 0.9);
  EXPECT_EQ(j["grid"][0]["footprint_total"], 0.7);
}

TEST(EvalSummaryTest, JsonHasNullForAnErrorOfOneContext) {
  const std::vector<EvalRow> rows = {row(1024, 0, "kvzip", 0.1, 0.1, 4, 9.0)};
  const auto j = nlohmann::json::parse(summary_to_json(summarise_rows(rows)[0]).dump());
  EXPECT_EQ(j["kl_answers"]["mean"], 0.1);
  EXPECT_TRUE(j["kl_answers"]["standard_error"].is_null());
  EXPECT_EQ(j["needle_accuracy"]["mean"], 1.0);
  EXPECT_EQ(j["seconds"]["compaction scores"], 9.0);
}

}  // namespace
}  // namespace limbeck
