#include "limbeck/heads/head_table.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_head_table(text, "t", 2, 2);
  } catch (const FormatError& e) {
    return e.what();
  }
  return "no error";
}

TEST(HeadTableTest, ATableSurvivesItsOwnText) {
  const HeadTable t{"weights", "calibration", "llama", "abc", 2, 2, {0.1, 1.0 / 3, 0, 7e-9}};
  const HeadTable back = parse_head_table(head_table_json(t), "t", 2, 2);
  EXPECT_EQ(back.values, t.values);
  EXPECT_EQ(back.kind, "weights");
  EXPECT_EQ(back.fingerprint, "abc");
  EXPECT_EQ(back.coverage_power, 0.0);
  HeadTable powered = t;
  powered.coverage_power = 1.0 / 3;
  EXPECT_EQ(parse_head_table(head_table_json(powered), "t", 2, 2).coverage_power, 1.0 / 3);
}

TEST(HeadTableTest, SchedulesFillInMissingHeadsAndSumToOne) {
  const HeadTable t = parse_head_table(R"({"L0H0": 0.75, "L1H1": 0.25})", "t", 2, 2);
  EXPECT_EQ(t.kind, "shares");  // 0.75, 0.25, 0.25, 0.25 before scaling
  EXPECT_DOUBLE_EQ(t.at(0, 0), 0.5);
  EXPECT_DOUBLE_EQ(t.at(0, 1), 0.25 / 1.5);
  // Only heads of full layers have budgets.
  const HeadTable u = parse_head_table(R"({"L0H0": 0.5})", "t", 3, 2, {false, true, false});
  EXPECT_DOUBLE_EQ(u.at(0, 0), 0.5 / 1.25);
  EXPECT_EQ(u.at(1, 0), 0.0);
  EXPECT_DOUBLE_EQ(u.at(2, 1), 0.25 / 1.25);
  EXPECT_THROW(parse_head_table(R"({"L1H0": 0.5})", "t", 3, 2, {false, true, false}), FormatError);
}

TEST(HeadTableTest, ErrorsNameTheRowAndTheColumn) {
  const auto native = [](const std::string& kind, const std::string& values) {
    return R"({"format":"kv-head-pattern","version":1,"kind":")" + kind + R"(","values":)" +
           values + "}";
  };
  EXPECT_EQ(error_of(native("weights", "[[1,2],[3,-4]]")),
            "t: row 1, column 1 must not be negative; found -4");
  EXPECT_EQ(error_of(native("gates", "[[1,2],[3,4]]")),
            "t: row 0, column 1 must be a gate in [-0.01, 1.01]; found 2");
  EXPECT_EQ(error_of(native("weights", "[[1,2]]")),
            "t: \"values\" must be a list of 2 rows, one a layer");
  EXPECT_EQ(error_of(native("weights", "[[1,2],[3]]")),
            "t: row 1 of \"values\" must be a list of 2 numbers, one a KV head");
  EXPECT_EQ(error_of(R"({"L2H0": 1})"), "t: keys are L0H0 to L1H1; found \"L2H0\"");
  EXPECT_NE(error_of(native("budget", "[]")), "no error");
  EXPECT_NE(error_of("[1]"), "no error");
  const auto power = [](const std::string& kind, const std::string& value) {
    return R"({"format":"kv-head-pattern","version":1,"kind":")" + kind + R"(","coverage_power":)" +
           value + R"(,"values":[[1,1],[1,1]]})";
  };
  EXPECT_EQ(error_of(power("weights", "0.5")), "no error");
  const std::string rule = "t: \"coverage_power\" must be a number in [0, 4], of weights; found ";
  EXPECT_EQ(error_of(power("weights", "-1")), rule + "-1");
  EXPECT_EQ(error_of(power("weights", "\"x\"")), rule + "\"x\"");
  EXPECT_EQ(error_of(power("gates", "0.5")), rule + "0.5");
}

}  // namespace
}  // namespace limbeck
