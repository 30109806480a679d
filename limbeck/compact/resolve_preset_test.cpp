#include "limbeck/base/error.h"
#include "limbeck/compact/contest.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

CompactOptions named(const std::string& method) {
  CompactOptions o;
  o.method = method;
  return o;
}

TEST(ResolvePresetTest, AScorerIsAMethodAndPlusFitFitsIt) {
  const Preset p = resolve_preset(named("noncausal+fit"));
  EXPECT_EQ(p.name, "noncausal+fit");
  ASSERT_EQ(p.stages.size(), 1u);
  EXPECT_EQ(p.stages[0].scorer, "noncausal");
  EXPECT_EQ(p.stages[0].allocator, "uniform");
  EXPECT_EQ(p.builder, "fit");
  // Options of the published builder mean nothing to ours.
  EXPECT_TRUE(resolve_preset(named("am-hak+fit")).builder_options.empty());
  EXPECT_EQ(resolve_preset(named("pyramidkv+fit")).stages[0].allocator, "pyramid");
  EXPECT_THROW(resolve_preset(named("best+fit")), InvalidArgument);
  EXPECT_THROW(resolve_preset(named("+fit")), InvalidArgument);
}

TEST(ResolvePresetTest, EveryPresetNamesThingsThatExist) {
  for (const Preset& p : preset_registry()) {
    double shares = 0;
    for (const Stage& s : p.stages) {
      EXPECT_NO_THROW(make_scorer(s.scorer, s.options)) << p.name;
      shares += s.share;
    }
    EXPECT_NEAR(shares, 1.0, 1e-9) << p.name;
  }
}

TEST(ResolvePresetTest, AReplacedPartLosesTheOptionsOfThePreset) {
  CompactOptions o = named("expected-adakv");
  EXPECT_EQ(resolve_preset(o).stages[0].options.size(), 1u);
  o.scorer = "expected";
  EXPECT_EQ(resolve_preset(o).stages[0].options.size(), 1u);
  o.scorer = "knorm";
  o.scorer_options = {{"recent", "2"}};
  EXPECT_EQ(resolve_preset(o).stages[0].options, (OptionTexts{{"recent", "2"}}));
  o.allocator_options = {{"safe", "0.5"}};
  EXPECT_EQ(resolve_preset(o).stages[0].allocator_options, (OptionTexts{{"safe", "0.5"}}));
  EXPECT_EQ(resolve_preset(o).name, "knorm x adakv x copy");
  // A builder by its own name is the preset's.
  CompactOptions hak = named("am-hak");
  hak.builder = "fit-literal";
  EXPECT_EQ(resolve_preset(hak).builder_options, resolve_preset(named("am-hak")).builder_options);
  EXPECT_FALSE(resolve_preset(hak).builder_options.empty());
}

TEST(ResolvePresetTest, WhereMuchIsKeptTheFirstStageHandsOutEverything) {
  const Preset p = resolve_preset(named("limbeck"));
  EXPECT_DOUBLE_EQ(first_share(p, 0.05), 0.7);
  EXPECT_DOUBLE_EQ(first_share(p, 0.25), 0.7);
  EXPECT_NEAR(first_share(p, 0.5), 0.85, 1e-12);
  EXPECT_DOUBLE_EQ(first_share(p, 0.75), 1.0);
  EXPECT_DOUBLE_EQ(first_share(p, 0.9), 1.0);
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(named("kvzip")), 0.9), 1.0);
  // A share that the user names holds everywhere, and so does the preset's with another coverage.
  CompactOptions o = named("limbeck");
  o.first_share = 0.6;
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(o), 0.9), 0.6);
  o = named("limbeck");
  o.coverage = "snapkv";
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(o), 0.9), 0.7);
}

TEST(ResolvePresetTest, WhereLittleIsKeptHeadWeightsCountInTheFirstStage) {
  // Only where the table of the weights says so.
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(named("limbeck")), 0.01), 0.0);
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(named("limbeck")), 0.01), 0.7);
  constexpr double most = 0.4;
  const auto calibrated = [&](const std::string& method) {
    CompactOptions o = named(method);
    o.head_weights.coverage_power = most;
    return o;
  };
  const Preset p = resolve_preset(calibrated("limbeck"));
  EXPECT_DOUBLE_EQ(head_power(p, 0.005), most);
  EXPECT_DOUBLE_EQ(head_power(p, 0.02), most);
  EXPECT_NEAR(head_power(p, 0.0325), most / 2, 1e-12);
  EXPECT_DOUBLE_EQ(head_power(p, 0.045), 0.0);
  EXPECT_DOUBLE_EQ(head_power(p, 0.9), 0.0);
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(calibrated("kvzip")), 0.01), 0.0);
  // What the user names holds everywhere, for other methods and other first stages as well.
  CompactOptions o = named("kvzip");
  o.head_power = 0.5;
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(o), 0.9), 0.5);
  o = calibrated("limbeck");
  o.first_share = 0.8;
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(o), 0.01), 0.8);
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(o), 0.01), most);
  o = calibrated("limbeck");
  o.coverage = "snapkv";
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(o), 0.01), 0.0);
  EXPECT_DOUBLE_EQ(first_share(resolve_preset(o), 0.01), 0.7);
  o.head_power = 1.0;
  EXPECT_DOUBLE_EQ(head_power(resolve_preset(o), 0.01), 1.0);
  o.head_power = -0.1;
  EXPECT_THROW(resolve_preset(o), InvalidArgument);
}

TEST(ResolvePresetTest, CoverageReplacesTheFirstOfTwoStages) {
  CompactOptions o = named("limbeck");
  o.coverage = "snapkv";
  o.coverage_allocator = "adakv";
  o.coverage_options = {{"window", "16"}};
  o.coverage_allocator_options = {{"safe", "0.5"}};
  const Preset p = resolve_preset(o);
  EXPECT_EQ(p.stages[0].scorer, "snapkv");
  EXPECT_EQ(p.stages[0].options, (OptionTexts{{"window", "16"}}));
  EXPECT_EQ(p.stages[0].allocator, "adakv");
  EXPECT_EQ(p.stages[0].allocator_options, (OptionTexts{{"safe", "0.5"}}));
  EXPECT_EQ(p.stages[1].scorer, "wpc");
  EXPECT_EQ(p.name, "limbeck (snapkv x adakv first)");
  // The preset's own scorer keeps its options.
  CompactOptions own = named("limbeck");
  own.coverage_options = {{"pool", "max"}};
  EXPECT_EQ(resolve_preset(own).stages[0].options,
            (OptionTexts{{"pool", "max"}, {"reduce", "max"}}));
  EXPECT_EQ(resolve_preset(own).name, "limbeck");
  o = named("kvzip");
  o.coverage = "snapkv";
  EXPECT_THROW(resolve_preset(o), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
