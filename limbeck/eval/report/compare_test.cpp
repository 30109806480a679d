#include "limbeck/eval/report/compare.h"

#include "limbeck/eval/report/report_testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using test::row;
using test::small_run;

const ComparedCell& cell(const RunComparison& c, const std::string& task, const std::string& method,
                         double budget) {
  for (const ComparedCell& found : c.cells)
    if (found.key.task == task && found.key.method == method && found.key.budget == budget)
      return found;
  throw std::runtime_error("no cell");
}

TEST(CompareTest, ARunEqualsItself) {
  const std::vector<SampleRow> rows = small_run();
  const RunComparison c = compare_runs(rows, rows);
  EXPECT_EQ(c.cells.size(), 10U);
  EXPECT_EQ(c.better + c.worse, 0);
  for (const ComparedCell& found : c.cells) {
    EXPECT_EQ(found.difference, 0);
    EXPECT_FALSE(found.significant);
  }
  EXPECT_TRUE(c.only_a.empty() && c.only_b.empty() && c.without_common.empty());
}

TEST(CompareTest, DifferencesAreBMinusAOverCommonQuestions) {
  const std::vector<SampleRow> a = small_run();
  std::vector<SampleRow> b = small_run();
  for (SampleRow& r : b) {
    if (r.method == "bad" && r.budget == 0.5) r.score = 1;
    if (r.method == "good" && r.budget == 0.5 && r.task == "vt") r.score = 0.25;
  }
  // Of no effect: B alone has the document.
  b.push_back(row("vt", 8, "good", 0.5, 1));
  const RunComparison c = compare_runs(a, b);
  const ComparedCell& bad = cell(c, "vt", "bad", 0.5);
  EXPECT_DOUBLE_EQ(bad.a, 0.125);
  EXPECT_DOUBLE_EQ(bad.b, 1);
  EXPECT_DOUBLE_EQ(bad.difference, 0.875);
  EXPECT_TRUE(bad.significant);
  EXPECT_TRUE(bad.ci.low <= 0.875 && bad.ci.high >= 0.875);
  const ComparedCell& good = cell(c, "vt", "good", 0.5);
  EXPECT_DOUBLE_EQ(good.difference, -0.75);
  EXPECT_EQ(good.documents, 8);
  EXPECT_EQ(c.better, 2);
  EXPECT_EQ(c.worse, 1);
}

TEST(CompareTest, QuestionsThatExpectSomethingElseAreNotPaired) {
  const std::vector<SampleRow> a = small_run();
  std::vector<SampleRow> b = small_run();
  for (SampleRow& r : b)
    if (r.task == "vt" && r.ordinal > 0) r.outputs = {"of another seed"};
  RunComparison c = compare_runs(a, b);
  EXPECT_EQ(cell(c, "vt", "good", 0.5).documents, 1);
  EXPECT_EQ(cell(c, "cwe", "good", 0.5).documents, 8);
  EXPECT_EQ(c.others, 7 * 5);
  EXPECT_NE(comparison_markdown(c, "A", "B").find("35 questions have the same number"),
            std::string::npos);
  for (SampleRow& r : b) r.outputs = {"of another seed"};
  c = compare_runs(a, b);
  EXPECT_TRUE(c.cells.empty());
  EXPECT_EQ(c.without_common.size(), 10U);
}

TEST(CompareTest, OtherQuestionsOfOneNumberAreNotPaired) {
  // Letters agree by chance, and excerpts expect nothing at all.
  for (const auto field : {&SampleRow::question, &SampleRow::source}) {
    std::vector<SampleRow> a = small_run(), b = small_run();
    for (SampleRow& r : a) r.*field = "one";
    for (SampleRow& r : b) r.*field = r.task == "vt" && r.ordinal > 0 ? "two" : "one";
    RunComparison c = compare_runs(a, b);
    EXPECT_EQ(cell(c, "vt", "good", 0.5).documents, 1);
    EXPECT_EQ(cell(c, "cwe", "good", 0.5).documents, 8);
    EXPECT_EQ(c.others, 7 * 5);
    for (SampleRow& r : a) (r.*field).clear();  // of a version that did not record it
    EXPECT_EQ(compare_runs(a, b).others, 0);
  }
}

TEST(CompareTest, FewDocumentsAreNeverSignificant) {
  std::vector<SampleRow> a = small_run(5), b = small_run(5);
  for (SampleRow& r : b)
    if (r.method == "bad") r.score = 1;
  EXPECT_EQ(compare_runs(a, b).better, 0);
  a = small_run(6);
  b = small_run(6);
  for (SampleRow& r : b)
    if (r.method == "bad") r.score = 1;
  EXPECT_EQ(compare_runs(a, b).better, 4);
}

TEST(CompareTest, ListsCellsOfOneRunOnlyAndThoseWithoutCommonQuestions) {
  std::vector<SampleRow> a = small_run(), b = small_run();
  std::erase_if(a, [](const SampleRow& r) { return r.task == "vt" && r.method == "bad"; });
  std::erase_if(b, [](const SampleRow& r) { return r.method == "good" && r.budget == 0.25; });
  for (SampleRow& r : b)
    if (r.method == "full") r.q_id = "other";
  const RunComparison c = compare_runs(a, b);
  ASSERT_EQ(c.only_a.size(), 2U);
  EXPECT_EQ(c.only_a[0].text(), "cwe|4096|agnostic|good|0.25");
  ASSERT_EQ(c.only_b.size(), 2U);
  EXPECT_EQ(c.only_b[0].method, "bad");
  EXPECT_EQ(c.without_common.size(), 2U);
  const std::string text = comparison_markdown(c, "old", "new");
  EXPECT_NE(text.find("- Only in old: cwe, 4096 tokens, good 25 %."), std::string::npos) << text;
  EXPECT_NE(text.find("- Without a common question: vt, 4096 tokens, full cache."),
            std::string::npos);
}

TEST(CompareTest, MarkdownShowsBothValuesAndTheVerdict) {
  const std::vector<SampleRow> a = small_run();
  std::vector<SampleRow> b = small_run();
  for (SampleRow& r : b)
    if (r.method == "bad" && r.budget == 0.5 && r.task == "vt") r.score = 1;
  const std::string text = comparison_markdown(compare_runs(a, b), "a|1", "b");
  EXPECT_NE(text.find("### b against a\\|1"), std::string::npos) << text;
  const size_t at = text.find("| vt | 4096 | bad | 50 % | 12.5 | 100.0 | **+87.5 (+6");
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_NE(text.find("| 54.7 | 54.7 | 0.938 | 0.938 | 8 | better |", at), std::string::npos);
  EXPECT_NE(text.find("10 common cells: 1 significantly better, 0 worse"), std::string::npos);
  EXPECT_NE(text.find("About 0.5 would be by chance."), std::string::npos);
}

TEST(CompareTest, JsonHasTheSameNumbersAndTimingApart) {
  const std::vector<SampleRow> a = small_run();
  std::vector<SampleRow> b = small_run();
  for (SampleRow& r : b) r.compaction_seconds *= 2;
  const auto j = comparison_to_json(compare_runs(a, b), "a", "b");
  EXPECT_EQ(j["cells"].size(), 10U);
  EXPECT_EQ(j["cells"][0]["difference"], 0.0);
  EXPECT_EQ(j["cells"][0]["ci"].size(), 2U);
  EXPECT_EQ(j["better"], 0);
  EXPECT_EQ(without_timing(j).dump(),
            without_timing(comparison_to_json(compare_runs(a, a), "a", "b")).dump());
}

}  // namespace
}  // namespace limbeck
