#include "limbeck/io/json.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "[test] x.json", limits);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(JsonTest, ReadsADocumentWithSpaceAround) {
  const auto json = parse_json(" {\"a\": [1, {\"a\": 2}], \"b\": {\"a\": null}} \n", "[test] x");
  EXPECT_EQ(json["a"][1]["a"], 2);
}

TEST(JsonTest, RefusesDuplicateKeys) {
  EXPECT_EQ(error_of(R"({"a": 1, "b": {"c": 1, "c": 2}})"),
            "[test] x.json: key \"c\" appears twice in one object");
  EXPECT_EQ(error_of(R"([{"a": 1}, {"a": 1}])"), "");
}

TEST(JsonTest, RefusesDeepNesting) {
  EXPECT_EQ(error_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(error_of(std::string(65, '[') + std::string(65, ']')),
            "[test] x.json: nesting exceeds the cap of 64 levels");
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "");
}

TEST(JsonTest, RefusesFloodsOfValuesAndBytes) {
  EXPECT_EQ(error_of("[1,2,3]", {.max_values = 3}),
            "[test] x.json: number of values exceeds the cap of 3");
  EXPECT_EQ(error_of("[1,2,3]", {.max_bytes = 6}),
            "[test] x.json: text of 7 bytes exceeds the cap of 6");
}

TEST(JsonTest, NamesThePositionOfAnError) {
  EXPECT_EQ(error_of(R"({"a": x})"), "[test] x.json: no valid JSON; the error is at byte 7 of 8");
  EXPECT_EQ(error_of("{\n\"a\": x}\n"),
            "[test] x.json: no valid JSON; the error is at byte 8 of 10, line 2");
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("{} {}"), "");
  EXPECT_NE(error_of("\"\xff\""), "") << "invalid UTF-8";
  EXPECT_NE(error_of("1e999"), "") << "number out of range";
}

TEST(JsonTest, RefusesNulBytesAndByteOrderMarks) {
  EXPECT_EQ(error_of(std::string_view("{}\0{", 4)),
            "[test] x.json: no valid JSON; found a NUL byte at position 2");
  EXPECT_NE(error_of("\xEF\xBB\xBF{}"), "");
}

}  // namespace
}  // namespace limbeck
