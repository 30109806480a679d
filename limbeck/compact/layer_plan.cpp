#include "limbeck/compact/layer_plan.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace limbeck {

int64_t LayerPlan::forced_count() const {
  return std::count(forced.begin(), forced.end(), uint8_t{1});
}

int64_t LayerPlan::forced_count(int64_t head) const {
  return std::count(forced.begin() + offsets[head], forced.begin() + offsets[head + 1], uint8_t{1});
}

namespace {

/// Numbers, within each head, of the slots that are marked.
std::vector<std::vector<int32_t>> marked(const LayerPlan& plan, const std::vector<uint8_t>& marks) {
  std::vector<std::vector<int32_t>> out(plan.heads());
  for (int64_t h = 0; h < plan.heads(); ++h)
    for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i)
      if (marks[i] != 0) out[h].push_back(static_cast<int32_t>(i - plan.offsets[h]));
  return out;
}

}  // namespace

std::vector<std::vector<int32_t>> LayerPlan::kept() const { return marked(*this, forced); }
std::vector<std::vector<int32_t>> LayerPlan::kept_verbatim() const {
  return marked(*this, verbatim);
}

LayerPlan plan_layer(int64_t layer, const LayerSegment& slots, const LayerStream& stream) {
  LayerPlan plan;
  plan.layer = layer;
  plan.offsets = slots.offsets;
  plan.positions = slots.positions;
  plan.members = slots.kv_heads() - static_cast<int64_t>(stream.heads.size());
  plan.scores.resize(slots.slots());
  plan.forced.resize(slots.slots(), 0);
  plan.verbatim.resize(slots.slots(), 0);
  return plan;
}

void protect_ranges(LayerPlan& plan, std::span<const PositionRange> ranges) {
  const int32_t* p = plan.positions.const_data_ptr<int32_t>();
  for (size_t i = 0; i < plan.forced.size(); ++i)
    for (const PositionRange& r : ranges)
      if (r.contains(p[i])) plan.forced[i] = plan.verbatim[i] = 1;
}

DefaultProtection default_protection(std::span<const ScorerTraits> scorers, int64_t budget) {
  DefaultProtection out;
  for (const ScorerTraits& t : scorers) {
    out.sinks = std::max(out.sinks, t.sinks);
    out.recent = std::max(out.recent, t.recent);
  }
  const int64_t half = std::max<int64_t>(budget / 2, 0);
  const int64_t sinks = std::min(out.sinks, half);
  // Half of the budget is what "the recent half" means: nothing is taken away.
  const int64_t recent = std::min(out.recent, half - sinks);
  out.reduced = sinks < out.sinks || (recent < out.recent && out.recent != kRecentHalf);
  out.sinks = sinks;
  out.recent = recent;
  return out;
}

bool protect_default(LayerPlan& plan, PositionRange span, const DefaultProtection& protection) {
  const PositionRange first{span.begin, span.begin + protection.sinks},
      last{span.end - protection.recent, span.end};
  const int32_t* p = plan.positions.const_data_ptr<int32_t>();
  bool reduced = false;
  for (int64_t h = 0; h < plan.heads(); ++h) {
    std::vector<int64_t> sinks, recent;
    for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i) {
      if (plan.forced[i] != 0) continue;
      if (first.contains(p[i]))
        sinks.push_back(i);
      else if (last.contains(p[i]))
        recent.push_back(i);
    }
    const auto wanted = static_cast<int64_t>(sinks.size() + recent.size());
    const int64_t left = plan.budgets[h] - plan.forced_count(h);
    const int64_t room = std::clamp<int64_t>(std::min(plan.budgets[h] / 2, left), 0, wanted);
    reduced |= room < wanted;
    std::stable_sort(sinks.begin(), sinks.end(), [&](int64_t a, int64_t b) { return p[a] < p[b]; });
    std::stable_sort(recent.begin(), recent.end(),
                     [&](int64_t a, int64_t b) { return p[a] > p[b]; });
    sinks.insert(sinks.end(), recent.begin(), recent.end());
    for (int64_t i = 0; i < room; ++i) plan.forced[sinks[i]] = 1;
  }
  return reduced;
}

void check_protected(const LayerPlan& plan) {
  for (int64_t h = 0; h < plan.heads(); ++h)
    if (const int64_t forced = plan.forced_count(h); forced > plan.budgets[h])
      throw InvalidArgument(
          "[compact] layer {} head {} has {} protected slots and a budget of {}; raise the ratio "
          "or "
          "allow protect_overflow",
          plan.layer, h, forced, plan.budgets[h]);
}

void set_mean_budgets(std::span<LayerPlan> layers, int64_t slots) {
  int64_t left = 0, most = 0;
  for (const LayerPlan& plan : layers)
    for (int64_t h = 0; h < plan.heads(); ++h) most += plan.slots(h);
  slots = std::min(slots, most);  // products of what nobody has would overflow
  std::vector<int64_t> room;
  for (LayerPlan& plan : layers) {
    std::vector<int64_t> caps;
    for (int64_t h = 0; h < plan.heads(); ++h) caps.push_back(plan.slots(h));
    const int64_t held = std::accumulate(caps.begin(), caps.end(), int64_t{0}),
                  total = std::min(slots * plan.members, held);
    plan.budgets = share_budgets(total, std::vector<double>(caps.size(), 1.0), 0, caps);
    left += slots * plan.members - total;
    for (int64_t h = 0; h < plan.heads(); ++h) room.push_back(caps[h] - plan.budgets[h]);
  }
  if (left == 0) return;
  const std::vector<int64_t> more =
      share_budgets(left, std::vector<double>(room.size(), 1.0), 0, room);
  size_t i = 0;
  for (LayerPlan& plan : layers)
    for (int64_t& budget : plan.budgets) budget += more[i++];
}

void set_ratio_budgets(std::span<LayerPlan> layers, double ratio) {
  std::vector<int64_t> slots;
  for (const LayerPlan& plan : layers)
    for (int64_t h = 0; h < plan.heads(); ++h) slots.push_back(plan.slots(h));
  std::vector<int64_t> budgets;
  for (const int64_t n : slots) budgets.push_back(kept_of_ratio(ratio, n));
  // Heads of one size keep equally many. Of heads that an earlier compaction left different, many
  // hold so few that each would lose the better part of a slot.
  if (std::ranges::adjacent_find(slots, std::ranges::not_equal_to{}) != slots.end()) {
    const int64_t all = std::accumulate(slots.begin(), slots.end(), int64_t{0});
    budgets = share_budgets(kept_of_ratio(ratio, all),
                            std::vector<double>(slots.begin(), slots.end()), 0, slots);
    for (size_t i = 0; i < slots.size(); ++i)
      budgets[i] = std::max(budgets[i], std::min<int64_t>(slots[i], 1));
  }
  size_t i = 0;
  for (LayerPlan& plan : layers) {
    plan.budgets.assign(budgets.begin() + static_cast<int64_t>(i),
                        budgets.begin() + static_cast<int64_t>(i) + plan.heads());
    i += static_cast<size_t>(plan.heads());
  }
}

void score_plan(const Scorer& scorer, const std::string& name, ScoreInput in, LayerPlan& plan) {
  in.layer = plan.layer;
  in.budgets = plan.budgets;
  in.forced = plan.forced;
  in.earlier = plan.earlier;
  const LayerSegment& slots = *in.slots;
  at::Tensor carried;
  in.carried = &carried;
  scorer.score(in, at::from_blob(plan.scores.data(), {slots.slots()},
                                 at::TensorOptions().dtype(at::kFloat)));
  if (carried.defined()) plan.carried[std::string(scorer.traits().carries)] = carried;
  const float* bias = slots.bias.defined() ? slots.bias.const_data_ptr<float>() : nullptr;
  for (int64_t h = 0; h < plan.heads(); ++h)
    for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i) {
      if (std::isnan(plan.scores[i]))
        throw NumericalError("[compact] scorer \"{}\" gave NaN in layer {} head {}", name,
                             plan.layer, h);
      // A slot that nobody can see is worth nothing.
      if (bias != nullptr && bias[i] == kNoCandidate) plan.scores[i] = kNoCandidate;
    }
}

void weigh_scores(std::span<LayerPlan> layers, const HeadTable& weights, double power) {
  if (weights.empty() || power == 0.0) return;
  for (LayerPlan& plan : layers)
    for (int64_t h = 0; h < plan.heads(); ++h) {
      // Neither may a factor make NaN of 0.
      const double weight = std::clamp(weights.at(plan.layer, h), 1e-12, 1e12);
      const auto factor = static_cast<float>(std::clamp(std::pow(weight, power), 1e-30, 1e30));
      for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i) {
        if (plan.scores[i] == kNoCandidate) continue;
        if (plan.scores[i] < 0)
          throw InvalidArgument(
              "[compact] head_power multiplies scores, which must not be negative; found {} in "
              "layer {} head {}; normalize by rank or share makes them so",
              plan.scores[i], plan.layer, h);
        plan.scores[i] = std::min(plan.scores[i] * factor, std::numeric_limits<float>::max());
      }
    }
}

int64_t own_rows_of(const ScorerTraits& traits, const KvCache& cache, PositionRange span) {
  int64_t rows = std::min(traits.own_rows, span.size());
  if (traits.carries.empty()) return rows;
  for (size_t s = 0; s < cache.segments().size(); ++s) {
    const SegmentInfo& info = cache.segments()[s];
    if (info.begin < span.begin || info.end > span.end) continue;
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (cache.layer(l).kind.type == LayerKind::Type::full &&
          cache.layer(l).segments[s]->extras.contains(std::string(traits.carries)))
        rows = std::min(rows, span.end - info.end);
  }
  return rows;
}

std::vector<HeadContest> contests_of(std::span<LayerPlan> layers, const HeadTable& weights) {
  std::vector<HeadContest> out;
  for (LayerPlan& plan : layers)
    for (int64_t h = 0; h < plan.heads(); ++h) {
      const int64_t begin = plan.offsets[h], n = plan.slots(h);
      out.push_back({plan.layer,
                     h,
                     std::span<const float>(plan.scores).subspan(begin, n),
                     {plan.positions.const_data_ptr<int32_t>() + begin, static_cast<size_t>(n)},
                     {plan.forced.begin() + begin, plan.forced.begin() + begin + n},
                     plan.budgets[h],
                     weights.empty() ? 0.0 : weights.at(plan.layer, h),
                     plan.earlier.empty()
                         ? std::span<const float>()
                         : std::span<const float>(plan.earlier).subspan(begin, n)});
    }
  return out;
}

void mark_chosen(std::span<LayerPlan> layers, const Selection& chosen) {
  size_t i = 0;
  for (LayerPlan& plan : layers)
    for (int64_t h = 0; h < plan.heads(); ++h, ++i)
      for (const int32_t slot : chosen[i]) plan.forced[plan.offsets[h] + slot] = 1;
}

}  // namespace limbeck
