#include "limbeck/compact/chunk_fold.h"

#include "limbeck/base/error.h"
#include "limbeck/base/timing.h"
#include "limbeck/compact/contest.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/normalize.h"
#include "limbeck/model/precision.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace limbeck {
namespace {

/// The new rows of the heads that do not stream.
LayerSegment rows_as_segment(const LayerSignals& s, const CacheShape& shape) {
  const int64_t rows = s.keys.size(1);
  std::vector<int64_t> heads;
  LayerSegment out = segment_empty(shape);
  for (int64_t h = 0; h < shape.kv_heads; ++h) {
    const bool streams = stream_has(s.cache->stream, h);
    if (!streams) heads.push_back(h);
    out.offsets[h + 1] = out.offsets[h] + (streams ? 0 : rows);
  }
  if (heads.empty()) return out;
  const at::Tensor index = at::tensor(heads, at::kLong);
  // Where no head streams these are the rows themselves and no copies.
  const auto pack = [&](const at::Tensor& x) {
    return (s.cache->stream.active() ? x.index_select(0, index) : x).reshape({-1, shape.head_dim});
  };
  out.keys = pack(s.keys);
  out.values = pack(s.values);
  out.positions = at::arange(s.first_position, s.first_position + rows, at::kInt)
                      .repeat({static_cast<int64_t>(heads.size())});
  return out;
}

int64_t bytes_of(const LayerSegment& s) {
  int64_t bytes = 0;
  for (const at::Tensor& t : {s.keys, s.values, s.bias, s.positions})
    if (t.defined()) bytes += static_cast<int64_t>(t.nbytes());
  return bytes;
}

void add_note(CompactReport& report, const std::string& note) {
  if (std::find(report.notes.begin(), report.notes.end(), note) == report.notes.end())
    report.notes.push_back(note);
}

}  // namespace

ChunkFold::ChunkFold(const Model& model, const KvCache& cache, const CompactOptions& options)
    : model_(model), cache_(cache), options_(options), preset_(resolve_preset(options)) {
  for (const Stage& stage : preset_.stages) {
    scorers_.push_back(make_scorer(stage.scorer, stage.options));
    allocators_.push_back(make_allocator(stage.allocator, stage.allocator_options));
  }
  builder_ = make_builder(preset_.builder, preset_.builder_options);
  check_combination(preset_, scorers_, allocators_, *builder_, options);
  check_normalization_name(options.normalize);
  check_head_tables(cache.shape(), options);
}

bool ChunkFold::fits(const KvCache& cache, const CompactOptions& o, PositionRange span,
                     int64_t rows) {
  if (o.chunk != 0 || o.polish != 0 || o.on_policy || o.only_new || !o.floors.empty() ||
      o.queries != nullptr || !o.references.empty() || o.head_power)
    return false;
  const Preset preset = resolve_preset(o);
  for (const Stage& stage : preset.stages) {
    const ScorerTraits t = make_scorer(stage.scorer, stage.options)->traits();
    if (t.needs_queries || t.whole_layers > 0 || own_rows_of(t, cache, span) > rows) return false;
    if (!make_allocator(stage.allocator, stage.allocator_options)->layer_by_layer()) return false;
  }
  return !make_builder(preset.builder, preset.builder_options)->needs_queries();
}

void ChunkFold::begin(PositionRange span, int64_t slots) {
  span_ = span;
  slots_ = slots;
  report_ = {};
  report_.method = preset_.name;
  report_.builder = preset_.builder;
  report_.span = span;
  report_.seconds = {{"scores", 0.0}, {"selection", 0.0}, {"build", 0.0}};
}

int64_t ChunkFold::first_segment() const {
  int64_t first = 0;
  while (first < static_cast<int64_t>(cache_.segments().size()) &&
         cache_.segments()[first].begin < span_.begin)
    ++first;
  return first;
}

LayerFold::Result ChunkFold::fold(const LayerSignals& signals) {
  const CacheShape& shape = cache_.shape();
  std::optional<MediumPrecision> products;
  if (shape.dtype == DType::bf16) products.emplace();
  const FlushDenormals flush;
  Stopwatch watch;
  Result out;
  const auto held = std::make_shared<LayerSegment>(
      cache_gather(cache_, signals.layer, {span_.begin, signals.first_position}));
  const auto rows = std::make_shared<LayerSegment>(rows_as_segment(signals, shape));
  LayerSegment slots = segment_concat({held, rows});
  LayerPlan plan = plan_layer(signals.layer, slots, signals.cache->stream);
  report_.entries_before += slots.slots();
  choose(plan, slots, signals);
  watch.restart();
  const std::vector<std::vector<int32_t>> kept = plan.kept();
  for (const auto& [name, values] : plan.carried) slots.extras[name] = values;
  BuildStatistics statistics;
  const BuildInput in{signals.layer, &slots, kept, nullptr, nullptr};
  auto built = std::make_shared<LayerSegment>(builder_->build(in, statistics));
  for (int64_t h = 0; h < built->kv_heads(); ++h) report_.kept.push_back(built->slots(h));
  report_.entries_after += built->slots();
  report_.seconds[2].second += watch.seconds();
  out.working_bytes = bytes_of(slots) + bytes_of(*built) +
                      static_cast<int64_t>(signals.keys.nbytes() + signals.values.nbytes());
  if (signals.cache->stream.active()) out.working_bytes += bytes_of(*rows);
  bytes_peak_ = std::max(bytes_peak_, cache_.bytes().total() + out.working_bytes);
  out.segment = std::move(built);
  return out;
}

void ChunkFold::choose(LayerPlan& plan, const LayerSegment& slots, const LayerSignals& signals) {
  Stopwatch watch;
  const std::span<LayerPlan> one(&plan, 1);
  protect_ranges(plan, options_.protect);
  protect_ranges(plan, cache_.protected_ranges());
  set_mean_budgets(one, slots_);
  std::vector<ScorerTraits> traits;
  for (const auto& scorer : scorers_) traits.push_back(scorer->traits());
  const DefaultProtection p = default_protection(traits, std::min(slots_, span_.size()));
  if (protect_default(plan, span_, p) || p.reduced)
    add_note(report_, "budgets protect fewer first and last slots than the method would");
  if (!options_.protect_overflow) check_protected(plan);
  const OwnQueries own{signals.layer, signals.first_position, model_.spec().softmax_scale,
                       signals.queries};
  double share = 0;
  for (size_t s = 0; s < scorers_.size(); ++s) {
    share = s + 1 == scorers_.size() ? 1.0 : share + preset_.stages[s].share;
    const OwnQueries wanted = traits[s].own_rows > 0 ? own.last(traits[s].own_rows) : own;
    const int64_t members = std::max<int64_t>(plan.members, 1);
    ScoreInput in;
    in.model = &model_;
    in.cache = &cache_;
    in.slots = &slots;
    in.span = span_;
    in.seed = static_cast<uint64_t>(options_.seed);
    in.open_budget = static_cast<double>(std::max<int64_t>(
                         0, share_of_budget(slots_ * members, share) - plan.forced_count())) /
                     static_cast<double>(members);
    in.head_weights = options_.head_weights.layer(plan.layer);
    in.own = traits[s].own_rows > 0 ? &wanted : nullptr;
    in.recent = p.recent;
    score_plan(*scorers_[s], preset_.stages[s].scorer, in, plan);
    normalize_scores(options_.normalize, plan.scores, plan.offsets);
    report_.seconds[0].second += watch.restart();
    mark_chosen(one, allocators_[s]->allocate(contests_of(one, options_.head_shares), share));
    plan.earlier = plan.scores;
    report_.seconds[1].second += watch.restart();
  }
}

SegmentInfo ChunkFold::info() {
  report_.settle_ratio();
  report_.requested_ratio =
      std::min(1.0, static_cast<double>(slots_) / static_cast<double>(span_.size()));
  report_.bytes_before = bytes_peak_;
  return segment_info(cache_, preset_, options_, report_);
}

CompactReport ChunkFold::take_report() { return std::move(report_); }

}  // namespace limbeck
