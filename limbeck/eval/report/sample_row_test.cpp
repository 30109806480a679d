#include "limbeck/eval/report/sample_row.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

SampleRow some_row() {
  SampleRow r;
  r.task = "niah_single_2";
  r.group = "ruler";
  r.doc_id = "4096-17";
  r.q_id = "0";
  r.category = "needles";
  r.ordinal = 17;
  r.length = 4096;
  r.method = "snap";
  r.budget = 0.1;
  r.prediction = "12\n\"<b>\xC3\xA9";
  r.parsed = "12";
  r.outputs = {"12", "34"};
  r.score = 0.5;
  r.metrics = {{"found", 1}, {"kl", 0.25}};
  r.finish = "stop";
  r.document_tokens = 3900;
  r.prompt_tokens = 4000;
  r.generated_tokens = 12;
  r.truncated = true;
  r.kept = 390.5;
  r.kept_min = 10;
  r.kept_max = 800;
  r.kept_ratio = 0.1;
  r.kv_bytes = int64_t{1} << 40;
  r.bytes_ratio = 0.11;
  r.footprint = 0.5;
  r.footprint_total = 0.6;
  r.footprint_after = std::numeric_limits<double>::quiet_NaN();
  r.peak = 1;
  r.kv_bytes_peak = 99;
  r.rss_peak = 77;
  r.compaction_seconds = 1.5;
  r.seconds = {{"prefill", 1.0}, {"build", 0.5}, {"decode", 0.25}};
  return r;
}

HeadsRow some_heads() { return {"vt", "4096-1", "snap", 4096, 0.1, 2, 3, {1, 2, 3, 4, 5, 6}}; }

template <class Read>
std::string error_of(const json& j, Read read) {
  try {
    read(j, "[samples] samples.jsonl:12");
  } catch (const FormatError& e) {
    return e.what();
  }
  return "no error";
}
std::string error_with(const char* field, const json& value) {
  json j = json::parse(sample_to_json(some_row()).dump());
  j[field] = value;
  return error_of(j, sample_from_json);
}

TEST(SampleRowTest, ComesBackFromItsJson) {
  const std::string text = sample_to_json(some_row()).dump();
  const SampleRow back = sample_from_json(parse_json(text, "[samples] x"), "[samples] x");
  EXPECT_EQ(sample_to_json(back).dump(), text);
  EXPECT_EQ(back.prediction, some_row().prediction);
  EXPECT_EQ(back.seconds, some_row().seconds);
  EXPECT_EQ(back.metrics, some_row().metrics);
  EXPECT_EQ(back.kv_bytes, int64_t{1} << 40);
  EXPECT_TRUE(back.truncated);
}

TEST(SampleRowTest, WritesNanAsNullAndReadsItBack) {
  const std::string text = sample_to_json(some_row()).dump();
  EXPECT_NE(text.find("\"footprint_after\":null"), std::string::npos);
  EXPECT_TRUE(std::isnan(sample_from_json(json::parse(text), "x").footprint_after));
}

TEST(SampleRowTest, BrokenUtf8BecomesReplacementCharacters) {
  SampleRow r = some_row();
  r.prediction = "a\xFF\xE2\x82z\xED\xA0\x80";
  EXPECT_EQ(sample_from_json(json::parse(sample_to_json(r).dump()), "x").prediction,
            "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(SampleRowTest, ErrorsNameTheFieldAndTheRule) {
  const std::string at = "[samples] samples.jsonl:12: field ";
  EXPECT_EQ(error_with("task", 3), at + "task must be a text; found number");
  EXPECT_EQ(error_with("task", ""), at + "task must not be empty");
  EXPECT_EQ(error_with("ordinal", 1.0), at + "ordinal must be a whole number; found number");
  EXPECT_EQ(error_with("ordinal", -1),
            at + "ordinal must be in [0, 9223372036854775807]; found -1");
  EXPECT_EQ(error_with("kv_bytes", 18446744073709551615U),
            at + "kv_bytes must be in [0, 9223372036854775807]; found 18446744073709551615");
  EXPECT_EQ(error_with("truncated", 1), at + "truncated must be true or false; found number");
  EXPECT_EQ(error_with("kept", "1"), at + "kept must be a number or null; found string");
  EXPECT_EQ(error_with("score", 1.5), at + "score must be a number in [0, 1]; found 1.5");
  EXPECT_EQ(error_with("score", nullptr), at + "score must be a number in [0, 1]; found nan");
  EXPECT_EQ(error_with("outputs", "12"), at + "outputs must be a list; found string");
  EXPECT_EQ(error_with("metrics", json::array()), at + "metrics must be an object; found array");
  EXPECT_EQ(error_with("seconds", {{"a", 1, 2}}),
            at + "seconds must be a list of [stage, seconds]; found array");
  EXPECT_EQ(error_with("colour\n", 1), at + "\"colour?\" is unknown");
}

TEST(SampleRowTest, EveryFieldMustBeThere) {
  const json whole = json::parse(sample_to_json(some_row()).dump());
  EXPECT_EQ(whole.size(), 35U);
  for (const auto& [name, unused] : whole.items()) {
    json j = whole;
    j.erase(name);
    EXPECT_EQ(error_of(j, sample_from_json),
              "[samples] samples.jsonl:12: field " + name + " is missing");
  }
  EXPECT_EQ(error_of(json::array(), sample_from_json),
            "[samples] samples.jsonl:12: must be an object; found array");
}

TEST(SampleRowTest, TheFilesOwnerMayAddItsManifest) {
  EXPECT_EQ(error_with("manifest_id", "abc"), "no error");
}

TEST(HeadsRowTest, ComesBackFromItsJson) {
  const std::string text = heads_to_json(some_heads()).dump();
  const HeadsRow back = heads_from_json(json::parse(text), "x");
  EXPECT_EQ(heads_to_json(back).dump(), text);
  EXPECT_EQ(back.kept, some_heads().kept);
  HeadsRow sliding = some_heads();  // of a model without a full layer
  sliding.layers = 0;
  sliding.kept.clear();
  EXPECT_TRUE(heads_from_json(json::parse(heads_to_json(sliding).dump()), "x").kept.empty());
  HeadsRow timed = some_heads();
  timed.timeline = {{0, 0}, {900, 900}, {900, 90.5}};
  const std::string line = heads_to_json(timed).dump();
  EXPECT_NE(line, text);
  EXPECT_EQ(heads_to_json(heads_from_json(json::parse(line), "x")).dump(), line);
  for (const char* wrong : {"3", "[[1]]", "[[1,-2]]", "[[-1,2]]", "[[2,1],[1,1]]", "[[1,null]]"}) {
    json j = json::parse(text);
    j["timeline"] = json::parse(wrong);
    EXPECT_NE(error_of(j, heads_from_json).find("field timeline must be"), std::string::npos)
        << wrong;
  }
}

TEST(HeadsRowTest, CountsMustFitTheShape) {
  json j = json::parse(heads_to_json(some_heads()).dump());
  j["layers"] = 4;
  EXPECT_EQ(error_of(j, heads_from_json),
            "[samples] samples.jsonl:12: field kept must have one number for each of 4 layers x 3 "
            "heads; found 6");
  j["layers"] = 0;
  EXPECT_NE(error_of(j, heads_from_json), "no error");
  j["layers"] = int64_t{1} << 62;
  j["kv_heads"] = 4;
  EXPECT_NE(error_of(j, heads_from_json), "no error");
}

TEST(HeadsRowTest, AUnitThatFailedHasNone) {
  HeadsRow r = some_heads();
  r.layers = r.kv_heads = 0;
  r.kept.clear();
  const json j = json::parse(heads_to_json(r).dump());
  EXPECT_TRUE(heads_from_json(j, "[samples]").kept.empty());
}

}  // namespace
}  // namespace limbeck
