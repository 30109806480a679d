#include "limbeck/eval/method_facts.h"

#include "limbeck/base/error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

TEST(MethodFactsTest, HaveAllOptionsAfterDefaults) {
  const auto plain = method_facts(parse_method_entry("streaming"));
  EXPECT_EQ(plain["method"], "streaming");
  EXPECT_EQ(plain["stages"][0]["scorer"]["name"], "streaming");
  ASSERT_TRUE(plain["stages"][0]["scorer"]["options"].contains("sinks"));
  const auto set = method_facts(parse_method_entry("streaming:scorer.sinks=7"));
  EXPECT_EQ(set["stages"][0]["scorer"]["options"]["sinks"], "7");
  EXPECT_NE(plain["stages"][0]["scorer"]["options"]["sinks"], "7");
  EXPECT_EQ(set["builder"]["name"], "copy");
  EXPECT_TRUE(set["head_weights"].is_null());
  EXPECT_EQ(set["head_power"], 0.0);
  EXPECT_EQ(method_facts(parse_method_entry("limbeck:head-power=0.5"))["head_power"], 0.5);
}

TEST(MethodFactsTest, EveryPresetHasItsStages) {
  for (const Preset& preset : preset_registry()) {
    const auto facts = method_facts(parse_method_entry(preset.name));
    ASSERT_EQ(facts["stages"].size(), preset.stages.size()) << preset.name;
    double shares = 0;
    for (const auto& stage : facts["stages"]) shares += stage["share"].get<double>();
    EXPECT_NEAR(shares, 1.0, 1e-12) << preset.name;
    EXPECT_EQ(facts["builder"]["name"], preset.builder);
  }
}

TEST(MethodFactsTest, HeadTablesCountByTheirNumbers) {
  MethodEntry a = parse_method_entry("kvzip");
  a.options.head_weights.kind = "weights";
  a.options.head_weights.layers = a.options.head_weights.kv_heads = 1;
  a.options.head_weights.values = {1.0};
  MethodEntry b = a;
  b.options.head_weights.values = {2.0};
  EXPECT_NE(method_facts(a)["head_weights"], method_facts(b)["head_weights"]);
}

}  // namespace
}  // namespace limbeck
