#include "limbeck/compact/layer_plan.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

namespace limbeck {
namespace {

/// Heads of so many slots each, at the last positions before `end`.
LayerPlan plan_of(std::vector<int64_t> slots, int64_t end) {
  LayerSegment s;
  s.offsets = {0};
  std::vector<int32_t> positions;
  for (const int64_t n : slots) {
    s.offsets.push_back(s.offsets.back() + n);
    for (int64_t i = 0; i < n; ++i) positions.push_back(static_cast<int32_t>(end - n + i));
  }
  s.positions = at::tensor(positions, at::kInt);
  return plan_layer(0, s, {});
}

TEST(LayerPlanTest, HeadsThatHoldLessThanTheMeanLeaveTheRestToOthers) {
  std::vector<LayerPlan> layers = {plan_of({10, 100}, 100), plan_of({80, 80}, 100)};
  set_mean_budgets(layers, 40);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{10, 70}));
  EXPECT_EQ(layers[1].budgets, (std::vector<int64_t>{40, 40}));
  // What the first layer cannot hold goes to the second.
  layers = {plan_of({10, 20}, 100), plan_of({80, 80}, 100)};
  set_mean_budgets(layers, 40);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{10, 20}));
  EXPECT_EQ(layers[1].budgets, (std::vector<int64_t>{65, 65}));
  set_mean_budgets(layers, 400);
  EXPECT_EQ(layers[1].budgets, (std::vector<int64_t>{80, 80}));
  set_mean_budgets(layers, int64_t{1} << 62);
  EXPECT_EQ(layers[1].budgets, (std::vector<int64_t>{80, 80}));
  set_ratio_budgets(layers, 0.25);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{2, 5}));
}

TEST(LayerPlanTest, ARatioOfUnequalHeadsIsThePartOfThemAll) {
  std::vector<LayerPlan> layers = {plan_of({4, 4, 4}, 100), plan_of({4, 5}, 100)};
  set_ratio_budgets(layers, 0.9);  // 3.6 3.6 3.6 3.6 4.5: 18 of 21
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{4, 4, 3}));
  EXPECT_EQ(layers[1].budgets, (std::vector<int64_t>{3, 4}));
  // Equal heads keep equally many.
  layers = {plan_of({4, 4, 4}, 100), plan_of({4, 4}, 100)};
  set_ratio_budgets(layers, 0.9);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{3, 3, 3}));
  // Every head keeps one, more than its part if need be.
  layers = {plan_of({1, 2, 90}, 100)};
  set_ratio_budgets(layers, 0.1);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{1, 1, 9}));
  set_ratio_budgets(layers, 1.0);
  EXPECT_EQ(layers[0].budgets, (std::vector<int64_t>{1, 2, 90}));
}

TEST(LayerPlanTest, DefaultsProtectAtMostHalfOfAHeadsBudget) {
  ScorerTraits wants;
  wants.sinks = 4;
  wants.recent = 20;
  const ScorerTraits other;
  const std::vector<ScorerTraits> both = {other, wants};
  DefaultProtection p = default_protection(both, 100);
  EXPECT_EQ(p.sinks, 4);
  EXPECT_EQ(p.recent, 20);
  EXPECT_FALSE(p.reduced);
  p = default_protection(both, 30);
  EXPECT_EQ(p.recent, 11);
  EXPECT_TRUE(p.reduced);
  wants.recent = kRecentHalf;
  p = default_protection({&wants, 1}, 30);
  EXPECT_EQ(p.recent, 11);
  EXPECT_FALSE(p.reduced);

  // A head of 6 slots and a budget of 5: the first two of what would be protected.
  LayerPlan plan = plan_of({100, 6}, 100);
  plan.budgets = {60, 5};
  EXPECT_TRUE(protect_default(plan, {0, 100}, {4, 20, false}));
  EXPECT_EQ(plan.forced_count(0), 24);
  EXPECT_EQ(plan.forced_count(1), 2);
  EXPECT_EQ(plan.kept()[1], (std::vector<int32_t>{4, 5}));
  EXPECT_NO_THROW(check_protected(plan));
  plan.budgets = {60, 1};
  EXPECT_THROW(check_protected(plan), InvalidArgument);
}

TEST(LayerPlanTest, WhatTheCallerProtectsIsChargedFirst) {
  LayerPlan plan = plan_of({20}, 20);
  plan.budgets = {6};
  const PositionRange user{0, 5};
  protect_ranges(plan, {&user, 1});
  EXPECT_TRUE(protect_default(plan, {0, 20}, {0, 8, false}));
  EXPECT_EQ(plan.kept()[0], (std::vector<int32_t>{0, 1, 2, 3, 4, 19}));
  EXPECT_EQ(plan.kept_verbatim()[0], (std::vector<int32_t>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace limbeck
