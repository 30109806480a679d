#include "limbeck/compact/compact.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/score/normalize.h"
#include "limbeck/compact/span_surgery.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

/// Scores, positions and choices of one full layer's slots of the span.
struct LayerPlan {
  int64_t layer = 0;
  std::vector<int64_t> offsets;
  at::Tensor positions;         ///< [n] i32
  std::vector<float> scores;    ///< [n], of the current stage
  std::vector<uint8_t> forced;  ///< [n]
};

class Compaction {
 public:
  Compaction(const Model& model, KvCache& cache, const CompactOptions& options)
      : model_(model), cache_(cache), options_(options), preset_(resolve_preset()) {}

  CompactReport run() {
    validate();
    report_.bytes_before = report_.bytes_after = cache_.bytes().total();
    plan_layers();
    if (options_.ratio && *options_.ratio == 1.0) return whole();
    const auto builder = make_builder(preset_.builder);
    pieces_ = cut_span(span_, options_.chunk);
    double share = 0;
    for (size_t s = 0; s < preset_.stages.size(); ++s) {
      share += preset_.stages[s].share;
      run_stage(preset_.stages[s], s == 0, std::min(share, 1.0));
    }
    build(*builder);
    return std::move(report_);
  }

 private:
  Preset resolve_preset() const {
    Preset p = find_preset(options_.method);
    const bool touched = !options_.scorer.empty() || !options_.allocator.empty();
    if (touched && p.stages.size() != 1)
      throw InvalidArgument(
          "[compact] {} has {} stages; scorer and allocator can replace those of a single one",
          p.name, p.stages.size());
    if (!options_.scorer.empty()) p.stages[0].scorer = options_.scorer;
    if (!options_.allocator.empty()) p.stages[0].allocator = options_.allocator;
    if (!options_.builder.empty()) p.builder = options_.builder;
    for (const auto& [key, value] : options_.scorer_options) p.stages.back().options[key] = value;
    if (touched || !options_.builder.empty())
      p.name = fmt::format("{} x {} x {}", p.stages[0].scorer, p.stages[0].allocator, p.builder);
    return p;
  }

  void validate() {
    const CompactOptions& o = options_;
    if (o.ratio.has_value() == o.budget.has_value())
      throw InvalidArgument("[compact] give either a ratio or a budget; found {}",
                            o.ratio ? "both" : "neither");
    if (o.ratio && !(*o.ratio > 0.0 && *o.ratio <= 1.0))
      throw InvalidArgument("[compact] ratio must be in (0, 1]; found {}", *o.ratio);
    if (o.budget && *o.budget < 1)
      throw InvalidArgument("[compact] budget must be at least 1 slot per head; found {}",
                            *o.budget);
    if (o.chunk < 0 || o.repeat_chunk < 1)
      throw InvalidArgument(
          "[compact] chunk must be at least 0 and repeat_chunk at least 1; found {} and {}",
          o.chunk, o.repeat_chunk);
    if (cache_.logical_length() == 0)
      throw InvalidArgument("[compact] the cache is empty; nothing to compact");
    if (!(cache_.shape() == model_.spec().cache_shape(model_.dtype())))
      throw Mismatch("[compact] the cache was not made by this model");
    span_ = o.span.value_or(PositionRange{0, cache_.logical_length()});
    if (span_.begin < 0 || span_.end > cache_.logical_length() || span_.size() < 1)
      throw InvalidArgument(
          "[compact] the span must lie in [0, {}) and not be empty; found [{}, {})",
          cache_.logical_length(), span_.begin, span_.end);
    if (cache_.shape().full_layer_count() == 0)
      throw InvalidArgument(
          "[compact] every layer of this model has a sliding window; there is nothing to compact");
    check_normalization_name(o.normalize);
    report_.method = preset_.name;
    report_.builder = preset_.builder;
    report_.span = span_;
  }

  void plan_layers() {
    for (int64_t l = 0; l < cache_.shape().layer_count(); ++l) {
      if (cache_.layer(l).kind.type != LayerKind::Type::full) continue;
      const LayerSegment slots = cache_gather(cache_, l, span_);
      LayerPlan plan{l, slots.offsets, slots.positions, std::vector<float>(slots.slots()),
                     std::vector<uint8_t>(slots.slots(), 0)};
      protect(plan, options_.protect);
      protect(plan, cache_.protected_ranges());
      report_.entries_before += slots.slots();
      layers_.push_back(std::move(plan));
    }
    const double heads =
        static_cast<double>(layers_.size()) * static_cast<double>(cache_.shape().kv_heads);
    report_.requested_ratio = options_.ratio.value_or(
        std::min(1.0, static_cast<double>(options_.budget.value_or(0)) * heads /
                          static_cast<double>(report_.entries_before)));
  }

  static void protect(LayerPlan& plan, const std::vector<PositionRange>& ranges) {
    const int32_t* p = plan.positions.const_data_ptr<int32_t>();
    for (size_t i = 0; i < plan.forced.size(); ++i)
      for (const PositionRange& r : ranges)
        if (r.contains(p[i])) plan.forced[i] = 1;
  }

  CompactReport whole() {
    report_.entries_after = report_.entries_before;
    for (const LayerPlan& plan : layers_)
      for (size_t h = 0; h + 1 < plan.offsets.size(); ++h)
        report_.kept.push_back(plan.offsets[h + 1] - plan.offsets[h]);
    return std::move(report_);
  }

  int64_t head_budget(int64_t slots) const {
    return options_.ratio ? kept_of_ratio(*options_.ratio, slots)
                          : std::min(slots, *options_.budget);
  }

  /// Sinks and recent slots that a scorer protects by default, unless they would eat the budget:
  /// then the recent ones shrink first, and together they never take more than half.
  void protect_by_default(const ScorerTraits& traits) {
    const int64_t least = head_budget(span_.size());
    const int64_t sinks = std::min(traits.sinks, std::max<int64_t>(least / 2, 0));
    const int64_t recent = std::min(traits.recent, std::max<int64_t>(least / 2 - sinks, 0));
    if (sinks < traits.sinks || recent < traits.recent)
      report_.notes.push_back(
          fmt::format("a budget of {} slots per head protects {} first and {} last slots instead "
                      "of {} and {}",
                      least, sinks, recent, traits.sinks, traits.recent));
    for (LayerPlan& plan : layers_)
      protect(plan, {{span_.begin, span_.begin + sinks}, {span_.end - recent, span_.end}});
  }

  void run_stage(const Stage& stage, bool first, double share_so_far) {
    const auto scorer = make_scorer(stage.scorer, stage.options);
    const auto allocator = make_allocator(stage.allocator);
    const ScorerTraits traits = scorer->traits();
    const Comparable have = options_.normalize.empty() ? traits.comparable : Comparable::model;
    if (have < allocator->requires_comparable())
      throw InvalidArgument(
          "[compact] scores of \"{}\" are comparable within one {} only, \"{}\" ranks over the "
          "whole {}; "
          "set normalize to zscore, rank or share",
          stage.scorer, traits.comparable == Comparable::none ? "head" : "layer", stage.allocator,
          comparable_name(allocator->requires_comparable()));
    if (first) protect_by_default(traits);
    Stopwatch watch;
    scorer->begin(cache_, span_);
    if (traits.needs_queries) {
      if (options_.repeat.first.empty())
        throw InvalidArgument(
            "[compact] \"{}\" needs a repeat pass; give the repeat prompt's token ids",
            stage.scorer);
      run_repeat(model_, cache_, span_, options_.repeat, options_.repeat_chunk, *scorer,
                 options_.progress);
      report_.seconds.emplace_back("queries", watch.restart());
    }
    score(*scorer, stage.scorer);
    report_.seconds.emplace_back("scores", watch.restart());
    for (const PositionRange& piece : pieces_) contest(*allocator, piece, share_so_far);
    report_.seconds.emplace_back("selection", watch.restart());
  }

  void score(Scorer& scorer, const std::string& name) {
    int64_t done = 0;
    for (LayerPlan& plan : layers_) {
      const LayerSegment slots = cache_gather(cache_, plan.layer, span_);
      at::Tensor out =
          at::from_blob(plan.scores.data(), {slots.slots()}, at::TensorOptions().dtype(at::kFloat));
      scorer.score({&model_, plan.layer, &slots, span_, static_cast<uint64_t>(options_.seed)}, out);
      for (size_t h = 0; h + 1 < plan.offsets.size(); ++h)
        for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i)
          if (std::isnan(plan.scores[i]))
            throw NumericalError("[compact] scorer \"{}\" gave NaN in layer {} head {}", name,
                                 plan.layer, h);
      normalize_scores(options_.normalize, plan.scores, plan.offsets);
      report_progress(options_.progress,
                      {"scores", "layers", ++done, static_cast<int64_t>(layers_.size())});
    }
  }

  /// Slots of one piece compete; what wins is forced for later stages.
  void contest(const Allocator& allocator, PositionRange piece, double share) {
    struct Piece {
      std::vector<float> scores;
      std::vector<int32_t> positions;
      std::vector<int64_t> rows;  ///< in the layer's packed order
      size_t layer;
    };
    std::vector<Piece> parts;
    std::vector<HeadContest> heads;
    const size_t kv_heads = layers_.front().offsets.size() - 1;
    parts.reserve(layers_.size() * kv_heads);
    for (size_t l = 0; l < layers_.size(); ++l) {
      const LayerPlan& plan = layers_[l];
      const int32_t* p = plan.positions.const_data_ptr<int32_t>();
      for (size_t h = 0; h < kv_heads; ++h) {
        Piece part{{}, {}, {}, l};
        HeadContest head{plan.layer, static_cast<int64_t>(h), {}, {}, {}, 0};
        for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i) {
          if (!piece.contains(p[i])) continue;
          part.scores.push_back(plan.scores[i]);
          part.positions.push_back(p[i]);
          part.rows.push_back(i);
          head.forced.push_back(plan.forced[i]);
        }
        parts.push_back(std::move(part));
        head.scores = parts.back().scores;
        head.positions = parts.back().positions;
        head.budget = piece_budget(plan.offsets[h + 1] - plan.offsets[h],
                                   static_cast<int64_t>(head.scores.size()), piece);
        heads.push_back(std::move(head));
      }
    }
    for (HeadContest& head : heads) charge(head, share);
    const Selection chosen = allocator.allocate(heads);
    for (size_t i = 0; i < parts.size(); ++i)
      for (int32_t slot : chosen[i]) layers_[parts[i].layer].forced[parts[i].rows[slot]] = 1;
  }

  /// A head's budget for one piece: the span's, shared over the pieces by largest remainder of
  /// their tokens.
  int64_t piece_budget(int64_t slots_of_head, int64_t slots_of_piece, PositionRange piece) const {
    const int64_t total = head_budget(slots_of_head);
    if (pieces_.size() == 1) return total;
    std::vector<double> tokens;
    size_t which = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      tokens.push_back(static_cast<double>(pieces_[i].size()));
      if (pieces_[i] == piece) which = i;
    }
    return std::min(slots_of_piece, largest_remainder(total, tokens)[which]);
  }

  void charge(HeadContest& head, double share) const {
    const int64_t forced = head.forced_count();
    if (forced > head.budget) {
      if (!options_.protect_overflow && share == 1.0 && preset_.stages.size() == 1)
        throw InvalidArgument(
            "[compact] layer {} head {} has {} protected slots and a budget of {}; raise the ratio "
            "or "
            "allow protect_overflow",
            head.layer, head.head, forced, head.budget);
      head.budget = forced;
    }
    if (share < 1.0)
      head.budget = forced + static_cast<int64_t>(std::floor(
                                 static_cast<double>(head.budget - forced) * share + 1e-9));
  }

  void build(const Builder& builder) {
    Stopwatch watch;
    std::vector<LayerSegmentPtr> built(cache_.shape().layer_count());
    for (size_t l = 0; l < layers_.size(); ++l) {
      const LayerPlan& plan = layers_[l];
      const LayerSegment slots = cache_gather(cache_, plan.layer, span_);
      std::vector<std::vector<int32_t>> kept(plan.offsets.size() - 1);
      for (size_t h = 0; h < kept.size(); ++h) {
        for (int64_t i = plan.offsets[h]; i < plan.offsets[h + 1]; ++i)
          if (plan.forced[i] != 0) kept[h].push_back(static_cast<int32_t>(i - plan.offsets[h]));
        report_.kept.push_back(static_cast<int64_t>(kept[h].size()));
        report_.entries_after += static_cast<int64_t>(kept[h].size());
      }
      built[plan.layer] = std::make_shared<LayerSegment>(builder.build({plan.layer, &slots, kept}));
      report_progress(options_.progress, {"build", "layers", static_cast<int64_t>(l) + 1,
                                          static_cast<int64_t>(layers_.size())});
    }
    report_.achieved_ratio =
        static_cast<double>(report_.entries_after) / static_cast<double>(report_.entries_before);
    replace_span(cache_, span_, segment_info(), std::move(built));
    report_.seconds.emplace_back("build", watch.seconds());
    report_.bytes_after = cache_.bytes().total();
  }

  SegmentInfo segment_info() const {
    SegmentInfo info;
    info.begin = span_.begin;
    info.end = span_.end;
    info.state = SpanState::compacted;
    info.method = report_.method;
    for (const Stage& stage : preset_.stages)
      for (const auto& [key, value] : stage.options) info.options[stage.scorer + "." + key] = value;
    info.options["seed"] = std::to_string(options_.seed);
    if (!options_.normalize.empty()) info.options["normalize"] = options_.normalize;
    if (options_.chunk > 0) info.options["chunk"] = std::to_string(options_.chunk);
    info.requested_ratio = report_.requested_ratio;
    info.achieved_ratio = report_.achieved_ratio;
    info.statistics["entries_before"] = static_cast<double>(report_.entries_before);
    info.statistics["entries_after"] = static_cast<double>(report_.entries_after);
    int64_t generation = 0;
    for (const SegmentInfo& old : cache_.segments())
      if (old.begin < span_.end && old.end > span_.begin)
        generation = std::max(generation, old.generation);
    info.generation = generation + 1;
    return info;
  }

  const Model& model_;
  KvCache& cache_;
  const CompactOptions& options_;
  Preset preset_;
  PositionRange span_;
  std::vector<PositionRange> pieces_;
  std::vector<LayerPlan> layers_;
  CompactReport report_;
};

}  // namespace

CompactReport compact(const Model& model, KvCache& cache, const CompactOptions& options) {
  c10::NoGradGuard guard;
  return Compaction(model, cache, options).run();
}

}  // namespace limbeck
