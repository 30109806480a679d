#include "limbeck/eval/eval_log.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

using test::error_text;
using test::read_file;
using test::ScratchFolder;

const nlohmann::ordered_json kSettings = {{"model", "tiny"}, {"needles", "4"}};

EvalRow sample_row(int64_t context) {
  EvalRow r;
  r.key = {1024, context, "kvzip:alloc=uniform", 0.1};
  r.fingerprint = "abcd";
  r.engine = "0123abc+";
  r.source = "A Book";
  r.offset = 77;
  r.answers = {0.1, 0.9, 1.0 / 3.0, 2.0, 28};
  r.continuation = {std::numeric_limits<double>::quiet_NaN(), 0.5, 3.0, 3.5, 159};
  r.needles = 4;
  r.needles_right = 3;
  r.outputs = {": 12345.", "\"none\"\n", "", "\xC3\xA9"};
  r.kept = 0.1001;
  r.bytes = 123456;
  r.span_bytes = 1234;
  r.shared = {{"prefill", 1.5}, {"queries", 2.5}};
  r.compaction = {{"scores", 0.25}, {"build", 0.5}};
  r.statistics = {{"fitted_heads", 90.0}};
  r.notes = {"a note"};
  return r;
}

TEST(EvalRowTest, JsonHoldsEverything) {
  const EvalRow row = sample_row(3);
  const auto j = row_to_json(row);
  const EvalRow back = row_from_json(nlohmann::json::parse(j.dump()), "row");
  EXPECT_EQ(row_to_json(back).dump(), j.dump());
  EXPECT_EQ(back.key, row.key);
  EXPECT_EQ(back.answers.nll_full, row.answers.nll_full);
  EXPECT_TRUE(std::isnan(back.continuation.kl));
  EXPECT_EQ(back.shared, row.shared);
}

TEST(EvalRowTest, AFilesNameMayHoldAnyBytes) {
  EvalRow row = sample_row(3);
  row.source =
      "b\xfc"
      "cher.txt";
  EXPECT_EQ(row_from_json(nlohmann::json::parse(row_to_json(row).dump()), "row").source,
            "b\xEF\xBF\xBD"
            "cher.txt");
}

TEST(EvalRowTest, NamesTheFieldThatIsWrong) {
  const auto error_of = [](nlohmann::json j) {
    return error_text<FormatError>([&] { row_from_json(j, "x line 2"); });
  };
  const nlohmann::json good = nlohmann::json::parse(row_to_json(sample_row(0)).dump());
  for (const auto& [key, value] : good.items()) {
    nlohmann::json without = good, other = good;
    without.erase(key);
    other[key] = value.is_object() ? nlohmann::json(7) : nlohmann::json{{"a", 1}};
    // A record without any footprint is of an earlier version and is read.
    EXPECT_EQ(error_of(without), key == "footprint" || key == "text_loss" || key == "engine"
                                     ? ""
                                     : "x line 2: field " + key + " is missing");
    EXPECT_NE(error_of(other), "") << key;
  }
  EXPECT_EQ(error_of(7), "x line 2: must be an object; found number");
}

TEST(EvalRowTest, SharedQueriesCountOnlyWhereTheyWereUsed) {
  EvalRow row = sample_row(0);
  EXPECT_DOUBLE_EQ(row.compaction_seconds(), 0.75);
  row.compaction.insert(row.compaction.begin(), {"queries", 0.125});
  EXPECT_DOUBLE_EQ(row.compaction_seconds(), 3.375);
}

TEST(EvalLogTest, GoesOnWhereItStopped) {
  const ScratchFolder folder;
  const auto path = folder.path() / "run.jsonl";
  {
    EvalLog log(path, kSettings);
    log.append(sample_row(0));
    log.append(sample_row(1));
  }
  EvalLog log(path, kSettings);
  ASSERT_EQ(log.rows().size(), 2U);
  EXPECT_EQ(row_to_json(log.rows()[1]).dump(), row_to_json(sample_row(1)).dump());
}

TEST(EvalLogTest, EveryCutOfTheFileLosesAtMostOneLine) {
  const ScratchFolder folder;
  const auto whole = folder.path() / "whole.jsonl";
  {
    EvalLog log(whole, kSettings);
    log.append(sample_row(0));
    log.append(sample_row(1));
  }
  const std::string text = read_file(whole);
  for (size_t size = 0; size <= text.size(); size += 7) {
    const std::string cut = text.substr(0, size);
    const auto path = folder.write("cut.jsonl", cut);
    const auto lines = std::count(cut.begin(), cut.end(), '\n');
    EvalLog log(path, kSettings);
    EXPECT_EQ(log.rows().size(), static_cast<size_t>(std::max<int64_t>(lines - 1, 0)));
    for (auto i = static_cast<int64_t>(log.rows().size()); i < 2; ++i) log.append(sample_row(i));
    EXPECT_EQ(read_file(path), text);
  }
}

TEST(EvalLogTest, RefusesOtherSettingsByName) {
  const ScratchFolder folder;
  const auto path = folder.path() / "run.jsonl";
  { EvalLog log(path, kSettings); }
  const std::string before = read_file(path);
  nlohmann::ordered_json other = kSettings;
  other["needles"] = "1";
  EXPECT_EQ(error_text<Mismatch>([&] { EvalLog(path, other); }),
            "[eval] " + path.string() +
                " was made with needles \"4\"; found \"1\" now; name another file to start anew");
  EXPECT_EQ(read_file(path), before);
}

TEST(EvalLogTest, LeavesFilesOfOthersAlone) {
  const ScratchFolder folder;
  for (const std::string text : {"my notes", "my notes\n", "{\"a\": 1}\n", "{\"limbeck_eval\":2}\n",
                                 "{\"limbeck_eval\":1,\"settings\":3}\n"}) {
    const auto path = folder.write("notes.txt", text);
    EXPECT_THROW(EvalLog(path, kSettings), FormatError) << text;
    EXPECT_EQ(read_file(path), text);
  }
  EXPECT_THROW(EvalLog(folder.path(), kSettings), ResourceError);
}

TEST(EvalLogTest, NamesTheLineThatIsBroken) {
  const ScratchFolder folder;
  const auto path = folder.path() / "run.jsonl";
  {
    EvalLog log(path, kSettings);
    log.append(sample_row(0));
  }
  const std::string good = read_file(path), row = row_to_json(sample_row(0)).dump();
  folder.write("run.jsonl", good + row + "\n");
  EXPECT_EQ(error_text<FormatError>([&] { EvalLog(path, kSettings); }),
            "[eval] " + path.string() + " line 3: the same unit stands in an earlier line");
  folder.write("run.jsonl", good + "{\"length\": 7}\n");
  EXPECT_EQ(error_text<FormatError>([&] { EvalLog(path, kSettings); }),
            "[eval] " + path.string() + " line 3: field context is missing");
}

TEST(EvalLogTest, OneRunHoldsTheFile) {
  const ScratchFolder folder;
  const auto path = folder.path() / "run.jsonl";
  const EvalLog log(path, kSettings);
  EXPECT_THROW(EvalLog(path, kSettings), ResourceError);
}

}  // namespace
}  // namespace limbeck
