#include "limbeck/eval/report/html.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/demo_run.h"
#include "limbeck/eval/report/failures.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace limbeck {
namespace {

using test::demo_run;
using test::row;
using test::small_run;

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string demo_page() {
  const test::DemoRun run = demo_run();
  ReportInput input;
  input.title = "A made-up run";
  input.manifest = {{"model", {{"name", "tiny <model>"}, {"layers", 28}}}, {"seed", 42}};
  input.remarks = {"Numbers of this page are made up."};
  input.rows = run.rows;
  input.heads = run.heads;
  return report_html(input);
}

/// Every tag that is opened is closed, in order.
void expect_balanced(const std::string& page) {
  const std::vector<std::string> empty{"meta", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t end = page.find('>', at);
    const std::string tag = page.substr(at + 1, end - at - 1);
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" \n/", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag.back() == '/' || name == "meta" || name == "!DOCTYPE") continue;
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << tag;
    ASSERT_EQ(open.back(), tag.substr(1)) << "at " << page.substr(at > 200 ? at - 200 : 0, 240);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(HtmlTest, OneFileWithoutScriptOrNetwork) {
  const std::string page = demo_page();
  // For the test of the page in a browser, and for eyes.
  std::ofstream(std::filesystem::path(testing::TempDir()) / "limbeck_report_demo.html") << page;
  expect_balanced(page);
  EXPECT_EQ(count(page, "<script"), 0U);
  for (const char* part : {"src=", "url(", "@import", "http://", "https://", "<link", "<img",
                           "<iframe", "javascript:"})
    EXPECT_EQ(count(page, part), 0U) << part;
  EXPECT_EQ(count(page, "default-src 'none'"), 1U);
}

TEST(HtmlTest, EveryFigureHasItsTable) {
  const std::string page = demo_page();
  // Three charts for each of three groups at their lengths (1 + 1 + 4), one fan, a needle grid for
  // the full cache and each of ten methods, one timeline, two maps for each of two methods.
  EXPECT_EQ(count(page, "<svg "), 3U * 6 + 1 + 11 + 1 + 4);
  EXPECT_EQ(count(page, "<svg "), count(page, "<figure>"));
  EXPECT_EQ(count(page, "<svg "), count(page, "Data of this figure"));
  EXPECT_EQ(count(page, "nan"), 0U);
}

TEST(HtmlTest, IsTheSameForEveryOrderOfTheRows) {
  test::DemoRun run = demo_run();
  ReportInput input;
  input.rows = run.rows;
  input.heads = run.heads;
  const std::string once = report_html(input);
  test::shuffle(run.rows, 3);
  test::shuffle(run.heads, 4);
  EXPECT_EQ(report_html(input), once);
}

TEST(HtmlTest, ExtremesAreAPageToo) {
  std::vector<SampleRow> rows;
  for (int64_t i = 0; i < 30; ++i) {
    const std::string method =
        fmt::format("W{} a label that goes on and on and on beyond any margin of a figure", i);
    SampleRow r = row("WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", 0, method,
                      i == 0 ? 1e-9 : 0.5, i == 0 ? 0 : 1);
    r.kv_bytes = i == 0 ? 0 : int64_t{1} << (i + 20);
    r.compaction_seconds = i == 3 ? -1 : i * 1e-7;
    r.footprint_total = i == 4 ? std::numeric_limits<double>::quiet_NaN() : 0.5;
    r.metrics = {{"kl_50", 0}, {"kl_90", 1e-12 * static_cast<double>(i)}, {"kl_99", 3}};
    rows.push_back(r);
  }
  for (int64_t i = 0; i < 25; ++i) {
    SampleRow r = row("needle_grid", 0, "one", 0.5, 1);
    r.length = 1000000 + i * 1000;
    r.group = "needle_grid";
    r.metrics["depth"] = 33.333333333;
    rows.push_back(r);
  }
  std::vector<HeadsRow> heads;
  for (const auto& [layers, width] : {std::pair{1, 1}, std::pair{126, 8}, std::pair{2, 64}}) {
    HeadsRow h{"t", "d", fmt::format("{}x{}", layers, width), 4096, 0.5, layers, width, {}};
    for (int64_t k = 0; k < layers * width; ++k) h.kept.push_back(k * 1000000);
    heads.push_back(h);
  }
  ReportInput input;
  input.title = std::string(200, 'W');
  input.rows = rows;
  input.heads = heads;
  input.manifest = {{std::string(300, 'k'), std::string(300, 'v')}};
  const std::string page = report_html(input);
  std::ofstream(std::filesystem::path(testing::TempDir()) / "limbeck_report_extremes.html") << page;
  expect_balanced(page);
  EXPECT_EQ(count(page, "=\"nan"), 0U);
  EXPECT_EQ(count(page, "inf"), 0U);
}

TEST(HtmlTest, WhatAModelWroteIsTextOnly) {
  const std::string evil = "</td></pre><script>alert(\"x\")</script>' onclick='a\x01\xFF|&amp;";
  std::vector<SampleRow> rows = small_run();
  for (SampleRow& r : rows) {
    r.group += evil;
    r.task += evil;
    r.doc_id += evil;
    r.prediction = evil;
    r.outputs = {evil};
    if (r.method == "good") r.method = evil;
  }
  rows[3].error = evil;
  rows[3].score = 0;
  ReportInput input;
  input.title = evil;
  input.manifest = {{evil, evil}, {"list", {1, evil}}};
  input.remarks = {evil};
  input.rows = rows;
  const std::vector<HeadsRow> heads{{evil, evil, evil, 4096, 0.5, 1, 2, {3, 4}}};
  input.heads = heads;
  const std::string page = report_html(input);
  expect_balanced(page);
  EXPECT_EQ(count(page, "<script"), 0U);
  EXPECT_EQ(count(page, "' onclick"), 0U);
  EXPECT_EQ(count(page, "\x01"), 0U);
  EXPECT_EQ(count(page, "\xFF"), 0U);
  EXPECT_GT(count(page, "&lt;script&gt;alert(&quot;x&quot;)"), 10U);
}

TEST(HtmlTest, AnEmptyRunIsAPageToo) {
  const std::string page = report_html({});
  expect_balanced(page);
  EXPECT_NE(page.find("0 answers in 0 cells"), std::string::npos);
}

TEST(FailuresTest, ErrorsComeFirstThenAnswersThatTheFullCacheGotRight) {
  std::vector<SampleRow> rows = small_run();
  rows.back().error = "stopped";
  rows.back().score = 0;
  rows.push_back(row("vt", 0, "random", 0.5, 0));
  const auto failures = sample_failures(rows, 4);
  ASSERT_EQ(failures.size(), 4U);
  EXPECT_EQ(failures[0].row->error, "stopped");
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(failures[i].full->method, "full");
    EXPECT_NE(failures[i].row->method, "random");
    EXPECT_GE(failures[i].full->score - failures[i].row->score, 0.5);
  }
  EXPECT_NE(failures[1].row->task, failures[2].row->task);
  EXPECT_NE(failures[1].row->method, failures[3].row->method);
}

TEST(FailuresTest, ManyErrorsLeaveRoomForAnswers) {
  std::vector<SampleRow> rows = small_run();
  for (SampleRow& r : rows)
    if (r.method == "good") {
      r.error = "stopped";
      r.score = 0;
    }
  int64_t errors = 0;
  for (const Failure& f : sample_failures(rows, 10)) errors += f.row->error.empty() ? 0 : 1;
  EXPECT_EQ(errors, 5);
}

TEST(FiguresTest, TheFrontIsMarkedInTheTable) {
  const Summary s = summarise_samples(small_run());
  const GroupKey key = group_keys(s)[0];
  const std::vector<Figure> figures = group_figures(s, key, method_styles(s));
  ASSERT_EQ(figures.size(), 3U);
  std::string marked;
  for (const auto& r : figures[0].data.rows) marked += r[0].text + r[1].text + r[4].text + ";";
  EXPECT_EQ(marked, "full cache-;bad50 %;bad25 %;good50 %yes;good25 %yes;");
}

TEST(FiguresTest, NeedleGridsAreDepthByLength) {
  std::vector<SampleRow> rows;
  for (const double depth : {0.0, 50.0, 100.0})
    for (int64_t i = 0; i < 2; ++i) {
      SampleRow r = row("needle_grid", static_cast<int64_t>(depth) + i, "good", 0.5,
                        depth == 50 && i == 0 ? 0 : 1);
      r.group = "needle_grid";
      r.metrics["depth"] = depth;
      rows.push_back(r);
    }
  // A grid under another name has a map of its own.
  SampleRow renamed = rows.back();
  renamed.task = "in_books";
  rows.push_back(renamed);
  std::vector<Figure> figures = needle_figures(needle_grids(rows));
  ASSERT_EQ(figures.size(), 2U);
  EXPECT_EQ(figures[0].title, "Needles, good, 50 %, in_books");
  figures.erase(figures.begin());
  EXPECT_EQ(figures[0].caption, "Score in %: mean 83.3, worst cell 50.0 (depth 50 %, 4K tokens).");
  EXPECT_EQ(figures[0].data.rows[1][1].text, "50.0");
  EXPECT_EQ(figures[0].data.columns[1], "4K");
}

TEST(FiguresTest, HeadMapsShowMeanAndSpreadAtTheBudgetMostMethodsHave) {
  std::vector<HeadsRow> heads{{"vt", "a", "x", 4096, 0.5, 1, 2, {30, 10}},
                              {"vt", "b", "x", 4096, 0.5, 1, 2, {100, 100}},
                              {"vt", "a", "y", 4096, 0.5, 1, 2, {1, 1}},
                              {"vt", "a", "x", 4096, 0.25, 1, 2, {1, 1}}};
  const std::vector<Figure> figures = head_figures(heads);
  ASSERT_EQ(figures.size(), 4U);
  EXPECT_EQ(figures[0].title, "Mean of the heads' budgets, x, 50 %");
  EXPECT_EQ(figures[0].data.rows[0][1].text, "125.0");
  EXPECT_EQ(figures[0].data.rows[1][1].text, "75.0");
  EXPECT_EQ(figures[1].data.rows[0][1].text, "35.4");
  EXPECT_EQ(figures[3].data.rows[0][1].text, "-");
  EXPECT_TRUE(timeline_figures(heads, {}).empty());
  heads[1].layers = 2;
  heads[1].kv_heads = 1;
  EXPECT_THROW(head_figures(heads), InvalidArgument);
  EXPECT_TRUE(head_figures({}).empty());
}

TEST(FiguresTest, TimelinesAreThoseOfTheDocumentAndBudgetWithMostMethods) {
  const auto unit = [](const char* document, const char* method, double budget, double kept) {
    HeadsRow h{"vt", document, method, 4096, budget, 1, 1, {1}};
    h.timeline = {{0, 0}, {100, 100}, {100, kept}, {110, kept + 10}};
    return h;
  };
  const std::vector<HeadsRow> heads{unit("a", "x", 0.5, 50),   unit("a", "y", 0.5, 50),
                                    unit("b", "x", 0.5, 51),   unit("b", "y", 0.5, 51),
                                    unit("b", "z", 0.5, 51),   unit("b", "random", 0.25, 25),
                                    unit("b", "full", 1, 100), unit("a", "full", 1, 99)};
  const std::vector<Figure> figures = timeline_figures(heads, {{"x", 0}, {"y", 1}, {"z", 2}});
  ASSERT_EQ(figures.size(), 1U);
  EXPECT_EQ(figures[0].title, "Entries held over time, 50 % kept, 4096 tokens");
  EXPECT_NE(figures[0].caption.find("document b of vt"), std::string::npos);
  const auto& rows = figures[0].data.rows;
  ASSERT_EQ(rows.size(), 16U);  // the full cache, then three methods
  EXPECT_EQ(rows[3][0].text, "full cache");
  EXPECT_EQ(rows[3][2].text, "110.0");
  EXPECT_EQ(rows[4][0].text, "x");
  EXPECT_EQ(rows[6][2].text, "51.0");
  EXPECT_EQ(count(figures[0].svg, "<polyline"), 4U);
}

}  // namespace
}  // namespace limbeck
