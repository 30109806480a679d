/// One full layer's slots of a span on their way through a contest: budgets, what is protected,
/// scores, and what has been chosen. Private to this room.
#pragma once

#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/score/scorer.h"
#include "limbeck/heads/head_table.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct LayerPlan {
  int64_t layer = 0;
  std::vector<int64_t> offsets;   ///< [H + 1]
  at::Tensor positions;           ///< [n] i32
  int64_t members = 0;            ///< heads that do not stream: those that a budget counts
  std::vector<float> scores;      ///< [n], of the current stage
  std::vector<float> earlier;     ///< [n], of the stage before
  std::vector<uint8_t> forced;    ///< [n] 1 = kept already: protected or of an earlier stage
  std::vector<uint8_t> verbatim;  ///< [n] 1 = of a protected range: kept bit for bit, never fitted
  std::vector<int64_t> budgets;   ///< [H] slots that each head keeps by its own share
  std::map<std::string, at::Tensor> carried;  ///< [n] f32 side values for the new segment

  int64_t heads() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t slots(int64_t head) const { return offsets[head + 1] - offsets[head]; }
  int64_t forced_count() const;
  int64_t forced_count(int64_t head) const;
  /// Ascending numbers, within each head, of the slots that are kept.
  std::vector<std::vector<int32_t>> kept() const;
  /// The same of those that are kept verbatim.
  std::vector<std::vector<int32_t>> kept_verbatim() const;
};

LayerPlan plan_layer(int64_t layer, const LayerSegment& slots, const LayerStream& stream);

/// Slots of these positions are kept, and kept verbatim.
void protect_ranges(LayerPlan& plan, std::span<const PositionRange> ranges);

/// First and last positions of the span that a method protects by default.
struct DefaultProtection {
  int64_t sinks = 0, recent = 0;
  bool reduced = false;  ///< the budget did not allow for all of them
};
/// What the scorers ask for, unless it would take more than half of `budget`: then the recent ones
/// shrink first.
DefaultProtection default_protection(std::span<const ScorerTraits> scorers, int64_t budget);
/// A head whose own budget is smaller protects fewer, and again at most half of it: its first ones,
/// then its newest. Budgets must have been set. True when that was necessary.
bool protect_default(LayerPlan& plan, PositionRange span, const DefaultProtection& protection);

/// Throws InvalidArgument when a head has more protected slots than its budget.
void check_protected(const LayerPlan& plan);

/// `slots` a head on the average: heads that hold fewer leave their rest to the others of their
/// layer, and what a layer cannot hold goes to other layers.
void set_mean_budgets(std::span<LayerPlan> layers, int64_t slots);
/// The part `ratio` of what each head holds, rounded down; where heads hold different numbers, to
/// the part of them all by largest remainder.
void set_ratio_budgets(std::span<LayerPlan> layers, double ratio);

/// Calls the scorer and writes its scores into the plan. `in` needs everything but budgets, forced
/// and earlier, which are the plan's. Throws NumericalError for NaN.
void score_plan(const Scorer& scorer, const std::string& name, ScoreInput in, LayerPlan& plan);

/// Scores times this power of the weights of their heads. An empty table changes nothing. Throws
/// InvalidArgument for a negative score.
void weigh_scores(std::span<LayerPlan> layers, const HeadTable& weights, double power);

/// Own rows that a scorer of these traits is to get.
int64_t own_rows_of(const ScorerTraits& traits, const KvCache& cache, PositionRange span);

/// The heads of these layers as contests that view the plans; `weights` is a table of all layers or
/// empty.
std::vector<HeadContest> contests_of(std::span<LayerPlan> layers, const HeadTable& weights);
/// What wins is forced for later stages.
void mark_chosen(std::span<LayerPlan> layers, const Selection& chosen);

}  // namespace limbeck
