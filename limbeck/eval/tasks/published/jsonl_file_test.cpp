#include "limbeck/eval/tasks/published/jsonl_file.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

TEST(JsonlFileTest, ReadsLinesAndSkipsBlankOnes) {
  ScratchFolder folder;
  const JsonlFile file(
      folder.write("x.jsonl", "{\"a\": \"1\"}\n\n  \r\n{\"a\": \"2\"}\r\n{\"a\": 3}"));
  ASSERT_EQ(file.size(), 3);
  EXPECT_EQ(file.record(0).text("a"), "1");
  EXPECT_EQ(file.record(1).text("a"), "2");
  EXPECT_EQ(file.record(2).name("a"), "3");
  EXPECT_EQ(file.what(1), "[tasks] x.jsonl line 4");
  EXPECT_EQ(file.stem(), "x");
}

TEST(JsonlFileTest, ReadsAnArrayWithBracketsInTexts) {
  ScratchFolder folder;
  const JsonlFile file(folder.write(
      "x.json", " [\n {\"a\": \"],}\\\"[\", \"b\": [1, {\"c\": 2}]},\n\n{\"a\": \"\\\\\"}\n]\n"));
  ASSERT_EQ(file.size(), 2);
  EXPECT_EQ(file.record(0).text("a"), "],}\"[");
  EXPECT_EQ(file.record(1).text("a"), "\\");
  EXPECT_EQ(file.what(1), "[tasks] x.json line 4, record 2");
}

TEST(JsonlFileTest, ABrokenRecordCostsOnlyItself) {
  ScratchFolder folder;
  const JsonlFile lines(folder.write("x.jsonl", "{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n[]\n"));
  EXPECT_EQ(lines.record(2).integer("a", 0, 9), 3);
  EXPECT_TRUE(
      error_text<FormatError>([&] { lines.record(1); }).starts_with("[tasks] x.jsonl line 2"));
  EXPECT_EQ(error_text<FormatError>([&] { lines.record(3); }),
            "[tasks] x.jsonl line 4: must be an object; found array");
  const JsonlFile array(folder.write("y.json", "[{\"a\": 1}, {\"a\" 2}, {\"a\": 3}]"));
  EXPECT_THROW(array.record(1), FormatError);
  EXPECT_EQ(array.record(2).integer("a", 0, 9), 3);
}

TEST(JsonlFileTest, RefusesFilesWithoutRecords) {
  ScratchFolder folder;
  EXPECT_THROW(JsonlFile(folder.path() / "none"), ResourceError);
  for (const char* text : {"\n \n", "[]", "[{\"a\": 1}", "[{\"a\": \"]}", "[}", "["})
    EXPECT_THROW(JsonlFile(folder.write("x", text)), FormatError) << text;
  const JsonlFile one(folder.write("x", "{}"));
  EXPECT_EQ(error_text<InvalidArgument>([&] { one.record(1); }),
            "[tasks] x has documents 0 to 0; found 1");
}

TEST(JsonlFileTest, ItemsOfOneLineHaveNumbers) {
  ScratchFolder folder;
  const JsonlFile file(folder.write("f.json", R"([{"a": 1}, {"a": 2}, 5])"));
  EXPECT_EQ(error_text<FormatError>([&] { file.record(1).text("a"); }),
            "[tasks] f.json line 1, record 2: field \"a\" must be a text; found number");
  EXPECT_EQ(error_text<FormatError>([&] { file.record(2); }),
            "[tasks] f.json line 1, record 3: must be an object; found number");
}

TEST(JsonlFileTest, RefusesWhatFollowsAListAndAnEmptyFile) {
  ScratchFolder folder;
  const auto error = [&](const char* text) {
    return error_text<FormatError>([&] { JsonlFile(folder.write("f.json", text)); });
  };
  EXPECT_EQ(error("[{}]\n [{}]"),
            "[tasks] f.json line 2: must have nothing behind the list that begins the file");
  EXPECT_EQ(JsonlFile(folder.write("f.json", "[{}] \n")).size(), 1);
  EXPECT_EQ(error(""), "[tasks] f.json: must have a record; found an empty file");
  EXPECT_EQ(error_text<FormatError>([&] { read_json_object(folder.write("f.json", "")); }),
            "[tasks] f.json: must have a record; found an empty file");
  EXPECT_EQ(file_hash(folder.write("f.json", "")).size(), 32U);
}

TEST(JsonlFileTest, DamagedBytesNeverCrash) {
  ScratchFolder folder;
  const std::string good =
      "[{\"a\": [\"x\", \"\\u00e9\"], \"b\": {\"c\": null}},\n{\"a\": [], \"b\": {\"c\": 1}}]";
  Random random(3);
  for (int i = 0; i < 400; ++i) {
    std::string bad = good.substr(0, 1 + random.below(good.size()));
    for (int k = 0; k < 3; ++k)
      bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    try {
      const JsonlFile file(folder.write("bad", bad));
      for (int64_t r = 0; r < file.size(); ++r) {
        try {
          file.record(r).texts("a");
        } catch (const FormatError&) {
        }
      }
    } catch (const FormatError&) {
    }
  }
}

JsonRecord record(const char* text) { return {nlohmann::json::parse(text), "[tasks] f line 1"}; }

TEST(JsonRecordTest, GivesTypedFields) {
  const JsonRecord r = record(
      R"({"t": "x", "n": 7, "b": true, "l": ["p", "q"], "z": null, "o": [{"t": "y"}, {"t": 1}]})");
  EXPECT_EQ(r.text("t"), "x");
  EXPECT_EQ(r.text_or("z", "none"), "none");
  EXPECT_EQ(r.integer("n", 0, 7), 7);
  EXPECT_EQ(r.integer("b", 0, 1), 1);
  EXPECT_EQ(r.texts("l"), (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(r.text_or_texts("t"), std::vector<std::string>{"x"});
  EXPECT_EQ(r.records("o")[0].text("t"), "y");
  EXPECT_FALSE(r.has("z"));
}

TEST(JsonRecordTest, ErrorsNameThePlaceAndTheField) {
  const JsonRecord r = record(R"({"t": "x", "n": 7, "l": ["p", 2], "o": [{"t": 1}, 5], "h": 1e30,
                                  "u": 18446744073709551615})");
  const auto text = [&](auto call) { return error_text<FormatError>(call); };
  EXPECT_EQ(text([&] { r.text("q"); }), "[tasks] f line 1: field \"q\" is missing");
  EXPECT_EQ(text([&] { r.text("n"); }),
            "[tasks] f line 1: field \"n\" must be a text; found number");
  EXPECT_EQ(text([&] { r.integer("n", 0, 3); }),
            "[tasks] f line 1: field \"n\" must be a whole number in [0, 3]; found 7");
  EXPECT_THROW(r.integer("h", 0, 3), FormatError);
  EXPECT_THROW(r.integer("u", -5, 3), FormatError);
  EXPECT_EQ(text([&] { r.texts("l"); }),
            "[tasks] f line 1: field \"l[1]\" must be a text; found number");
  EXPECT_EQ(text([&] { r.records("o"); }),
            "[tasks] f line 1: field \"o[1]\" must be an object; found number");
  const JsonRecord nested = record(R"({"o": [{"t": 1}]})");
  EXPECT_EQ(text([&] { nested.records("o")[0].text("t"); }),
            "[tasks] f line 1: field \"o[0].t\" must be a text; found number");
}

}  // namespace
}  // namespace limbeck
