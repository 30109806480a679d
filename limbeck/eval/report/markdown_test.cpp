#include "limbeck/eval/report/markdown.h"

#include "limbeck/eval/report/report_testing.h"

#include <gtest/gtest.h>

#include <limits>

namespace limbeck {
namespace {

using test::row;
using test::small_run;

std::string line_with(const std::string& text, const std::string& part) {
  const size_t at = text.find(part);
  if (at == std::string::npos) return "no line with " + part;
  const size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

TEST(MarkdownTest, HasOneTableForAGroupAndLength) {
  const std::string text = summary_markdown(summarise_samples(small_run()));
  EXPECT_NE(text.find("### ruler, 4096 tokens\n\n| method | asked | cwe | vt | mean | difference "
                      "from full | kept % | MiB | seconds |\n"
                      "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n| full cache | - | 100.0 | 100.0 | "
                      "100.0 (100.0 to 100.0) | - | 100.0 | 109 | - |\n| bad | 50 % |"),
            std::string::npos)
      << text;
  EXPECT_TRUE(
      line_with(text, "good | 50 %")
          .ends_with("| **100.0 (100.0 to 100.0)** | +0.0 (+0.0 to +0.0) | 50.0 | 54.7 | 0.938 |"))
      << text;
}

TEST(MarkdownTest, EveryTaskHasItsInterval) {
  std::vector<SampleRow> rows = small_run();
  const std::string text = summary_markdown(summarise_samples(rows));
  const size_t at = text.find("### Intervals of the tasks' scores, 95 %");
  ASSERT_NE(at, std::string::npos);
  const std::string part = text.substr(at);
  EXPECT_EQ(line_with(part, "| method |"), "| method | asked | cwe | vt |");
  EXPECT_EQ(line_with(part, "| full cache"),
            "| full cache | - | 100.0 to 100.0 | 100.0 to 100.0 |");
  std::erase_if(rows, [](const SampleRow& r) { return r.task == "vt"; });
  EXPECT_EQ(summary_markdown(summarise_samples(rows)).find("### Intervals"), std::string::npos);
}

TEST(MarkdownTest, BoldNeedsAnIntervalThatExcludesTheNext) {
  std::vector<SampleRow> rows = small_run();
  const std::string clear = summary_markdown(summarise_samples(rows));
  EXPECT_NE(line_with(clear, "good | 50 %").find("**100.0**"), std::string::npos) << clear;
  EXPECT_EQ(line_with(clear, "| full cache").find("**"), std::string::npos);
  for (int64_t i = 0; i < 8; ++i)
    for (const char* task : {"vt", "cwe"})
      rows.push_back(row(task, i, "other", 0.25, i % 8 == 1 ? 0.5 : 1.0));
  const std::string close = summary_markdown(summarise_samples(rows));
  EXPECT_EQ(line_with(close, "good | 25 %").find("**"), std::string::npos) << close;
  EXPECT_EQ(line_with(close, "other | 25 %").find("**"), std::string::npos);
}

TEST(MarkdownTest, NamesLeftOutTasksAndMissingRows) {
  std::vector<SampleRow> rows = small_run();
  for (int64_t i = 0; i < 8; ++i) rows.push_back(row("fwe", i, "full", 1, 0.25));
  rows.push_back(row("vt", 8, "random", 0.5, 0));
  const std::string text = summary_markdown(summarise_samples(rows));
  EXPECT_NE(text.find("- fwe is left out of the mean: the full cache scores 25.0, below 50.0.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("- No row for no document was measured.\n"), std::string::npos);
  EXPECT_EQ(text.find("No row for random eviction"), std::string::npos);
  EXPECT_NE(text.find("Not measured, so without a mean: random 50 % on cwe."), std::string::npos);
  EXPECT_NE(text.find("Documents a cell: 1 to 8."), std::string::npos);
  EXPECT_NE(text.find("Seconds say little: some are of fewer than 3 compactions."),
            std::string::npos);
  EXPECT_EQ(summary_markdown(summarise_samples(test::small_run()), {}).find("Seconds say little"),
            std::string::npos);
}

TEST(MarkdownTest, CriticalFootprintsCarryTheirSign) {
  const std::string text = summary_markdown(summarise_samples(small_run()));
  EXPECT_NE(text.find("### Critical footprint, % of the full cache's, at 90 % of its score"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("| good | &lt; 66.25 | &lt; 66.25 | 2 |"), std::string::npos) << text;
  EXPECT_NE(
      text.find("### Critical kept part, % of the entries, at 90 % of the full cache's score"),
      std::string::npos);
  EXPECT_NE(text.find("| bad | &gt; 77.5 | &gt; 77.5 | 2 |"), std::string::npos) << text;
}

TEST(MarkdownTest, OtherModesAreLabelled) {
  std::vector<SampleRow> rows = small_run();
  for (SampleRow& r : rows) r.mode = "in-prompt";
  EXPECT_NE(summary_markdown(summarise_samples(rows)).find("NOT COMPARABLE"), std::string::npos);
  for (SampleRow& r : rows) r.mode = "aware";
  EXPECT_NE(summary_markdown(summarise_samples(rows)).find("query-aware"), std::string::npos);
}

TEST(MarkdownTest, ForeignTextsCannotFormat) {
  std::vector<SampleRow> rows = small_run();
  for (SampleRow& r : rows)
    if (r.method == "good") r.method = "a|b\n<script>*x*";
  const std::string remark[] = {"Seconds are | invalid."};
  const std::string text = summary_markdown(summarise_samples(rows), remark);
  EXPECT_EQ(text.find("<script>"), std::string::npos);
  EXPECT_NE(text.find("a\\|b &lt;script&gt;\\*x\\*"), std::string::npos);
  EXPECT_NE(text.find("**Seconds are \\| invalid.**"), std::string::npos);
}

TEST(TablesTest, NumbersHaveThreeDigitsAndNanIsADash) {
  EXPECT_EQ(three_digits(0.01234), "0.0123");
  EXPECT_EQ(three_digits(1.234), "1.23");
  EXPECT_EQ(three_digits(123456), "123456");
  EXPECT_EQ(three_digits(0), "0");
  EXPECT_EQ(three_digits(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(budget_text(0.125), "12.5 %");
  EXPECT_EQ(signed_percent_text(-0.00001, {-0.01, 0.02}), "+0.0 (-1.0 to +2.0)");
}

TEST(MarkdownTest, BehindTheScoresStandCostsAndWhatTasksHaveBesides) {
  std::vector<SampleRow> rows = small_run();
  for (SampleRow& r : rows) {
    r.rss_peak = int64_t{512} << 20;
    r.truncated = r.ordinal == 0;
    r.category = r.task == "vt" ? "chains" : "lists";
    if (r.task == "cwe") {
      r.metrics["all"] = r.score;  // the score itself: no line
      r.metrics["easy"] = 0.25;
      r.metrics["own_nll"] = 0.5;
    }
    if (r.task != "vt") continue;
    r.metrics["nll"] = 1.0;
    r.metrics["nll_full"] = 0.5;
    r.metrics["kl [1,16)"] = 0.125;
  }
  const std::string text = summary_markdown(summarise_samples(rows));
  const std::string costs = text.substr(text.find("### Memory, time and counts"));
  EXPECT_NE(line_with(costs, "good | 25 %")
                .find("| 93.8 | 25.0 | 1000 | 500 | 1500 | 27.3 | 25.0 | 62.5 | 66.3 |"),
            std::string::npos)
      << costs;
  EXPECT_TRUE(line_with(costs, "good | 25 %")
                  .ends_with("| 0.938 | 0.500 | 10.0 | 512 | 100.0 | 2 | 0 | 16 |"))
      << costs;
  const std::string lm = text.substr(text.find("### How the text goes on, vt"));
  EXPECT_NE(line_with(lm, "good | 25 %").find("| 25 % | 2.718 | 1.649 |"), std::string::npos) << lm;
  EXPECT_TRUE(line_with(lm, "good | 25 %").ends_with("| 0.125 | - | - | - |")) << lm;
  const std::string others = text.substr(text.find("### Other scores"));
  EXPECT_NE(others.find("| task | metric | full cache | bad, 50 % | bad, 25 % |"),
            std::string::npos)
      << others;
  EXPECT_NE(line_with(others, "| cwe | easy").find("easy | 25.0 | 25.0 |"), std::string::npos);
  EXPECT_NE(line_with(others, "its loss").find("| 0.5 | 0.5 |"), std::string::npos) << others;
  EXPECT_EQ(others.find("| cwe | all |"), std::string::npos);
  const std::string categories = text.substr(text.find("### Means of categories"));
  EXPECT_NE(line_with(categories, "| method").find("lists | chains | mean of all tasks"),
            std::string::npos)
      << categories;
}

}  // namespace
}  // namespace limbeck
