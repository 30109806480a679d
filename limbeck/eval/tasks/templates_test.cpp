#include "limbeck/eval/tasks/templates.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace limbeck {
namespace {

TEST(TemplatesTest, FillsSlotsOnceAndLeavesOtherBraces) {
  EXPECT_EQ(fill_slots("{a}{b} {A} { a} {} {a", {{"a", "{b}"}, {"b", "2"}}), "{b}2 {A} { a} {} {a");
  EXPECT_EQ(fill_slots("", {}), "");
  EXPECT_THROW(fill_slots("{c}", {{"a", ""}}), InternalError);
  EXPECT_EQ(template_slots("{b} {a_b} {b} {c"), (std::set<std::string>{"a_b", "b"}));
}

TEST(TemplatesTest, PartsMeetAtLineEndsOnly) {
  TaskTemplates templates;
  std::vector<std::string> names;
  templates.for_each_field([&](std::string_view name, const std::string& text) {
    names.emplace_back(name);
    if (name.find("_document") != std::string_view::npos && name != "countdown_document") {
      EXPECT_TRUE(text.ends_with("\n\n")) << name;
    }
    if (name.find("_prefix") != std::string_view::npos) {
      EXPECT_FALSE(text.empty()) << name;
      EXPECT_NE(text.front(), ' ') << name;
      EXPECT_NE(text.back(), ' ') << name;
    }
  });
  EXPECT_TRUE(templates.countdown_example.ends_with("\n\n"));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(TemplatesTest, LoadsSomeTextsAndChangesTheHash) {
  const auto changed = templates_from_json({{"qa_prefix", "Reply:"}}, "[templates] x.json");
  EXPECT_EQ(changed.qa_prefix, "Reply:");
  EXPECT_EQ(changed.filler, TaskTemplates().filler);
  EXPECT_NE(templates_hash(changed), templates_hash({}));
  EXPECT_EQ(templates_hash(templates_from_json(nlohmann::json::object(), "")), templates_hash({}));
}

TEST(TemplatesTest, RefusesWhatDoesNotFit) {
  const auto error = [](const nlohmann::json& json) {
    return test::error_text<FormatError>([&] { templates_from_json(json, "[templates] x.json"); });
  };
  EXPECT_EQ(error(3), "[templates] x.json: must be an object of texts; found number");
  EXPECT_EQ(error({{"nope", ""}}), "[templates] x.json: unknown template \"nope\"");
  EXPECT_EQ(error({{"filler", 1}}), "[templates] x.json: filler must be a text; found number");
  EXPECT_EQ(error({{"vt_statement", "{name} {nam}"}}),
            "[templates] x.json: vt_statement must have the slots [name, value]; found \"nam, "
            "name\"");
  EXPECT_EQ(error({{"filler", std::string(70000, 'x')}}),
            "[templates] x.json: filler must be valid UTF-8 of at most 65536 bytes; found 70000 "
            "bytes");
}

}  // namespace
}  // namespace limbeck
