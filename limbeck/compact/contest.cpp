#include "limbeck/compact/contest.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/layer_plan.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/normalize.h"
#include "limbeck/compact/span_surgery.h"
#include "limbeck/model/precision.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

/// One contest over one span.
class Compaction {
 public:
  /// `slots` >= 0 overrides the budget per head (pieces of a longer span).
  Compaction(const Model& model, KvCache& cache, const CompactOptions& options, int64_t slots = -1)
      : model_(model),
        cache_(cache),
        options_(options),
        preset_(resolve_preset(options)),
        slots_override_(slots) {}

  CompactReport run() {
    validate();
    report_.bytes_before = report_.bytes_after = cache_.bytes().total();
    plan_layers();
    if (slots_override_ < 0 && options_.ratio && *options_.ratio == 1.0) return whole();
    for (const Stage& stage : preset_.stages) {
      scorers_.push_back(make_scorer(stage.scorer, stage.options));
      allocators_.push_back(make_allocator(stage.allocator, stage.allocator_options));
    }
    builder_ = make_builder(preset_.builder, preset_.builder_options);
    check_combination(preset_, scorers_, allocators_, *builder_, options_);
    set_budgets();
    if (keeps_everything()) return whole();
    // bf16 operands stay exact and sums are f32; f32 models get f32 products.
    std::optional<MediumPrecision> products;
    if (cache_.shape().dtype == DType::bf16) products.emplace();
    const FlushDenormals flush;
    protect_by_default();
    keep_whole_layers();
    if (!options_.protect_overflow)
      for (const LayerPlan& plan : layers_) check_protected(plan);
    collect_queries();
    double share = first_share(preset_, kept_part());
    for (size_t s = 0; s < preset_.stages.size(); ++s) {
      if (s > 0) share += preset_.stages[s].share;
      run_stage(s, s + 1 == preset_.stages.size() ? 1.0 : share);
    }
    build();
    return std::move(report_);
  }

 private:
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
    span_ = span_of(cache_, o);
    if (span_.begin < 0 || span_.end > cache_.logical_length() || span_.size() < 1)
      throw InvalidArgument(
          "[compact] the span must lie in [0, {}) and not be empty; found [{}, {})",
          cache_.logical_length(), span_.begin, span_.end);
    if (cache_.shape().full_layer_count() == 0)
      throw InvalidArgument(
          "[compact] every layer of this model has a sliding window; there is nothing to compact");
    check_normalization_name(o.normalize);
    check_head_tables(cache_.shape(), o);
    report_.method = preset_.name;
    report_.builder = preset_.builder;
    report_.span = span_;
  }

  void plan_layers() {
    for (int64_t l = 0; l < cache_.shape().layer_count(); ++l) {
      if (cache_.layer(l).kind.type != LayerKind::Type::full) continue;
      const LayerSegment slots = cache_gather(cache_, l, span_);
      LayerPlan plan = plan_layer(l, slots, cache_.layer(l).stream);
      protect_ranges(plan, options_.protect);
      protect_ranges(plan, cache_.protected_ranges());
      report_.entries_before += slots.slots();
      layers_.push_back(std::move(plan));
    }
    report_.requested_ratio = options_.ratio.value_or(std::min(
        1.0,
        static_cast<double>(slots_override_ >= 0 ? slots_override_ : options_.budget.value_or(0)) *
            head_count() / static_cast<double>(report_.entries_before)));
  }

  /// Heads that a budget counts: streaming ones have an allocation of their own.
  double head_count() const {
    int64_t heads = 0;
    for (const LayerPlan& plan : layers_) heads += plan.members;
    return static_cast<double>(std::max<int64_t>(heads, 1));
  }

  CompactReport whole() {
    report_.entries_after = report_.entries_before;
    for (const LayerPlan& plan : layers_)
      for (size_t h = 0; h + 1 < plan.offsets.size(); ++h)
        report_.kept.push_back(plan.offsets[h + 1] - plan.offsets[h]);
    return std::move(report_);
  }

  /// Slots a head of a span where nothing has been dropped yet.
  int64_t head_budget(int64_t slots) const {
    if (slots_override_ >= 0) return std::min(slots, slots_override_);
    return options_.ratio ? kept_of_ratio(*options_.ratio, slots)
                          : std::min(slots, *options_.budget);
  }

  /// Equal shares, or those of the table.
  void set_budgets() {
    if (slots_override_ >= 0)
      set_mean_budgets(layers_, slots_override_);
    else if (options_.budget)
      set_mean_budgets(layers_, *options_.budget);
    else
      set_ratio_budgets(layers_, *options_.ratio);
    std::vector<double> shares;
    std::vector<int64_t> caps;
    int64_t total = 0;
    for (LayerPlan& plan : layers_)
      for (int64_t h = 0; h < plan.heads(); ++h) {
        total += plan.budgets[h];
        caps.push_back(plan.slots(h));
        if (!options_.head_shares.empty()) shares.push_back(options_.head_shares.at(plan.layer, h));
      }
    mean_budget_ =
        std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(total) / head_count()));
    const bool table = std::any_of(allocators_.begin(), allocators_.end(),
                                   [](const auto& a) { return a->table() == TableUse::budgets; });
    if (!table) return;
    constexpr int64_t kFloor = 4;
    if (total < kFloor * static_cast<int64_t>(caps.size()))
      report_.notes.push_back(fmt::format(
          "{} slots cannot give each of {} heads the {} that a table leaves it at least", total,
          caps.size(), kFloor));
    std::vector<int64_t> lower;
    for (const int64_t slots : caps)
      lower.push_back(static_cast<int64_t>(builder_->largest_part() * static_cast<double>(slots)));
    if (std::accumulate(lower.begin(), lower.end(), int64_t{0}) >= total) caps = lower;
    const std::vector<int64_t> budgets = share_budgets(total, shares, kFloor, caps);
    size_t i = 0;
    for (LayerPlan& plan : layers_)
      for (int64_t& budget : plan.budgets) budget = budgets[i++];
  }

  /// A budget of all slots: copied, not fitted.
  bool keeps_everything() const {
    for (const LayerPlan& plan : layers_)
      for (int64_t h = 0; h < plan.heads(); ++h)
        if (plan.budgets[h] < plan.slots(h)) return false;
    return true;
  }

  /// Layers that a scorer leaves whole: all of their slots are budget and forced.
  void keep_whole_layers() {
    int64_t count = 0;
    for (const auto& scorer : scorers_) count = std::max(count, scorer->traits().whole_layers);
    count = std::min(count, static_cast<int64_t>(layers_.size()));
    if (count == 0) return;
    for (LayerPlan& plan : std::span(layers_).first(count)) {
      std::fill(plan.forced.begin(), plan.forced.end(), uint8_t{1});
      for (int64_t h = 0; h < plan.heads(); ++h) plan.budgets[h] = plan.slots(h);
    }
    report_.notes.push_back(
        fmt::format("the first {} full layers keep everything, beyond the budget", count));
  }

  /// Sinks and recent slots that the scorers protect by default, unless they would eat the budget.
  void protect_by_default() {
    std::vector<ScorerTraits> traits;
    for (const auto& scorer : scorers_) traits.push_back(scorer->traits());
    const int64_t least = head_budget(span_.size());
    const DefaultProtection wanted =
                                default_protection(traits, std::numeric_limits<int64_t>::max()),
                            p = default_protection(traits, least);
    if (p.reduced)
      report_.notes.push_back(
          fmt::format("a budget of {} slots per head protects {} first and {} last slots instead "
                      "of {} and {}",
                      least, p.sinks, p.recent, wanted.sinks, wanted.recent));
    recent_ = p.recent;
    bool reduced = false;
    for (LayerPlan& plan : layers_) reduced |= protect_default(plan, span_, p);
    if (reduced)
      report_.notes.emplace_back("some heads have too small a budget to protect as many slots");
  }

  // ---- reference queries

  bool runs_in_pass(size_t stage) const {
    const ScorerTraits t = scorers_[stage]->traits();
    return stage == 0 && t.needs_queries && t.runs_in_pass;
  }

  /// Runs the reference pass: a first stage that wants all rows is scored on the way, the rows that
  /// later stages and the builder want are kept.
  void collect_queries() {
    limit_ = builder_->needs_queries() ? builder_->query_limit(mean_budget_) : 0;
    for (size_t s = 0; s < scorers_.size(); ++s)
      if (scorers_[s]->traits().needs_queries && !runs_in_pass(s))
        limit_ = std::max(limit_, scorers_[s]->query_limit(mean_budget_));
    if (limit_ == 0 && !runs_in_pass(0)) return;
    if (runs_in_pass(0)) known_ = known_scores();
    // A builder wants what the scorer saw on its way.
    if (known_ != nullptr && limit_ > 0 && !known_->seen) known_ = nullptr;
    const bool keeps = known_ == nullptr && limit_ > 0 && runs_in_pass(0) && may_share_scores();
    if (keeps) seen_in_pass_.emplace(cache_.shape().layer_count());
    Stopwatch watch;
    rows_.resize(cache_.shape().layer_count());
    seen_.resize(cache_.shape().layer_count());
    double scoring = 0;
    std::vector<HeadAttention> all;  // what the rows of the layer at hand see
    const auto visit = [&](const LayerQueries& q) -> LayerAnswer {
      note_pass(q);
      if (limit_ > 0) rows_[q.layer] = q.subset(limit_, cache_.shape().kv_heads);
      if (!runs_in_pass(0)) return {};
      Stopwatch score_watch;
      if (known_ != nullptr) {
        // Counted as part of what was taken over.
        if (limit_ > 0) seen_[q.layer] = seen_by_rows(q, (*known_->seen)[q.layer]);
        scoring += score_watch.seconds();
        return {};
      }
      all.clear();
      // With stored queries no pass goes on from what the rows see.
      const bool asked = limit_ > 0 || options_.queries == nullptr;
      score_layer(0, plan_of(q.layer), &q, asked ? &all : nullptr, 0.0);
      if (limit_ > 0) seen_[q.layer] = seen_by_rows(q, all);
      share_seen(q.layer, all);
      scoring += score_watch.seconds();
      return {nullptr, &all};
    };
    if (options_.queries != nullptr) {
      if (options_.queries->layers.size() != rows_.size())
        throw Mismatch("[compact] stored queries of {} layers for a model of {}",
                       options_.queries->layers.size(), rows_.size());
      for (const LayerPlan& plan : layers_) visit(options_.queries->layers[plan.layer]);
    } else {
      for_each_query_layer(model_, cache_, span_,
                           reference_suffixes(model_, cache_, span_, options_), visit,
                           options_.progress);
    }
    report_.seconds.emplace_back("queries", watch.seconds() - scoring);
    pass_scoring_ = scoring;
  }

  /// Leaves what all rows saw to later compactions while there is room.
  void share_seen(int64_t layer, const std::vector<HeadAttention>& all) {
    if (!seen_in_pass_) return;
    seen_bytes_ += bytes_of(all);
    if (options_.scores->has_room(seen_bytes_))
      (*seen_in_pass_)[layer] = all;
    else
      seen_in_pass_.reset();
  }

  /// What the kept rows of a layer see: what its scorer saw when they are all rows, their own view
  /// of the slots when they are a part. Empty when the scorer does not tell, or not who reads what.
  std::vector<HeadAttention> seen_by_rows(const LayerQueries& q,
                                          const std::vector<HeadAttention>& all) const {
    const LayerQueries& rows = rows_[q.layer];
    if (all.empty() || rows.tokens() == q.tokens()) return all;
    if (std::any_of(all.begin(), all.end(), [](const HeadAttention& h) { return h.top.defined(); }))
      return {};  // made for the published fits, which compute them for the rows that they take
    return layer_attention(cache_gather(cache_, q.layer, span_), rows,
                           mass_elsewhere(rows, cache_.shape().kv_heads));
  }

  /// The rows of a reference pass belong to the cache's footprint.
  void note_pass(const LayerQueries& q) {
    if (q.layer != layers_.front().layer) return;
    for (const QueryChunk& c : q.chunks) cache_.note_auxiliary(c.queries.size(1));
  }

  LayerPlan& plan_of(int64_t layer) {
    return *std::find_if(layers_.begin(), layers_.end(),
                         [&](const LayerPlan& p) { return p.layer == layer; });
  }

  // ---- scores of an earlier compaction of this text

  bool may_share_scores() const {
    return options_.scores != nullptr &&
           (!scorers_[0]->traits().needs_queries || options_.queries != nullptr);
  }

  /// Scores that end where a budget does serve those who look no further.
  BudgetUse budget_use() const {
    const BudgetUse use = scorers_[0]->traits().budget;
    const bool ends =
        allocators_[0]->takes_best() && options_.normalize.empty() && options_.floors.empty();
    return use == BudgetUse::prefix && !ends ? BudgetUse::all : use;
  }

  ScoreKey score_key() const {
    const Stage& stage = preset_.stages[0];
    ScoreKey key{stage.scorer, stage.options, span_, options_.seed, recent_, nullptr, 0, {}};
    if (scorers_[0]->traits().needs_queries) {
      key.queries = options_.queries;
      if (!runs_in_pass(0)) key.rows = rows_[layers_.front().layer].tokens();
    }
    for (const LayerPlan& plan : layers_) key.forced.push_back(plan.forced);
    return key;
  }

  std::vector<std::vector<int64_t>> budgets_by_layer() const {
    std::vector<std::vector<int64_t>> out;
    for (const LayerPlan& plan : layers_) out.push_back(plan.budgets);
    return out;
  }

  const StoredScores* known_scores() const {
    if (!may_share_scores()) return nullptr;
    return options_.scores->find(score_key(), budget_use(), budgets_by_layer());
  }

  void take_over(const StoredScores& known) {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i].scores = known.scores[i];
    pass_scoring_ = known.seconds;
    // The footprint is that of the method on its own.
    if (const int64_t own = own_rows_of(scorers_[0]->traits(), cache_, span_); own > 0)
      cache_.note_auxiliary(own_rows_read(cache_, span_, own));
  }

  void keep_scores(double seconds) {
    if (!may_share_scores() || budget_use() == BudgetUse::all) return;
    StoredScores kept{score_key(), budgets_by_layer(), {}, seconds, std::move(seen_in_pass_)};
    for (const LayerPlan& plan : layers_) kept.scores.push_back(plan.scores);
    options_.scores->keep(std::move(kept));
  }

  // ---- stages

  int64_t total_budget() const {
    int64_t budget = 0;
    for (const LayerPlan& plan : layers_)
      budget += std::accumulate(plan.budgets.begin(), plan.budgets.end(), int64_t{0});
    return budget;
  }

  /// Of the text, not of what an earlier compaction left of it: slots few and far between need
  /// reconstruction.
  double kept_part() const {
    return static_cast<double>(total_budget()) / head_count() / static_cast<double>(span_.size());
  }

  void run_stage(size_t s, double share) {
    Stopwatch watch;
    int64_t taken = 0;
    for (const LayerPlan& plan : layers_) taken += plan.forced_count();
    const int64_t left = std::max<int64_t>(0, share_of_budget(total_budget(), share) - taken);
    if (s > 0 && left == 0) return;  // nothing to hand out
    if (s == 0 && !runs_in_pass(0)) known_ = known_scores();
    if (s == 0 && known_ != nullptr) {
      take_over(*known_);
    } else if (!runs_in_pass(s)) {
      const double open = static_cast<double>(left) / head_count();
      if (scorers_[s]->traits().own_rows > 0)
        score_by_own_queries(s, open);
      else
        score_layers(s, open);
    }
    const double seconds = watch.restart() + (s == 0 ? pass_scoring_ : 0.0) + borrowed_;
    borrowed_ = 0;
    report_.seconds.emplace_back(
        preset_.stages.size() == 1 ? "scores" : "scores " + preset_.stages[s].scorer, seconds);
    if (s == 0 && known_ == nullptr) keep_scores(seconds);
    if (scorers_[s]->traits().normalizable)
      for (LayerPlan& plan : layers_)
        normalize_scores(options_.normalize, plan.scores, plan.offsets);
    if (s == 0) weigh_scores(layers_, options_.head_weights, head_power(preset_, kept_part()));
    contest(*allocators_[s], share);
    for (LayerPlan& plan : layers_) plan.earlier = plan.scores;
    add_seconds("selection", watch.seconds());
  }

  /// All layers, several at a time.
  void score_layers(size_t s, double open) {
    std::atomic<int64_t> done{0};
    const std::vector<int64_t> order = largest_first();
    parallel_tasks(static_cast<int64_t>(layers_.size()), [&](int64_t task) {
      const int64_t i = order[task];
      const bool rows = scorers_[s]->traits().needs_queries;
      LayerPlan& plan = layers_[i];
      score_layer(s, plan, rows ? &rows_[plan.layer] : nullptr, rows ? &seen_[plan.layer] : nullptr,
                  open);
      ++done;
    });
    report_progress(options_.progress,
                    {"scores", "layers", done.load(), static_cast<int64_t>(layers_.size())});
  }

  /// Layer by layer while the text is read once more.
  void score_by_own_queries(size_t s, double open) {
    const bool rows = scorers_[s]->traits().needs_queries;
    const int64_t own_rows = own_rows_of(scorers_[s]->traits(), cache_, span_);
    if (own_rows == 0) return score_layers(s, open);  // all have been counted
    cache_.note_auxiliary(own_rows_read(cache_, span_, own_rows));
    borrowed_ = for_each_shared_own_layer(
        options_.scores, model_, cache_, span_, own_rows,
        [&](const OwnQueries& own) {
          score_layer(s, plan_of(own.layer), rows ? &rows_[own.layer] : nullptr,
                      rows ? &seen_[own.layer] : nullptr, open, &own);
        },
        options_.progress);
  }

  /// Layers by falling number of slots taken: threads that share the work end together.
  std::vector<int64_t> largest_first() const {
    std::vector<int64_t> order(layers_.size()), taken;
    std::iota(order.begin(), order.end(), 0);
    for (const LayerPlan& plan : layers_) taken.push_back(plan.forced_count());
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return taken[a] > taken[b]; });
    return order;
  }

  void add_seconds(const std::string& name, double seconds) {
    for (auto& [known, s] : report_.seconds)
      if (known == name) {
        s += seconds;
        return;
      }
    report_.seconds.emplace_back(name, seconds);
  }

  void score_layer(size_t s, LayerPlan& plan, const LayerQueries* queries,
                   std::vector<HeadAttention>* seen, double open, const OwnQueries* own = nullptr) {
    const LayerSegment slots = cache_gather(cache_, plan.layer, span_);
    ScoreInput in;
    in.model = &model_;
    in.cache = &cache_;
    in.slots = &slots;
    in.span = span_;
    in.seed = static_cast<uint64_t>(options_.seed);
    in.queries = queries;
    in.seen = seen;
    in.open_budget = open;
    in.head_weights = options_.head_weights.layer(plan.layer);
    in.own_budgets = allocators_[s]->requires_comparable() == Comparable::none;
    in.own = own;
    in.recent = recent_;
    score_plan(*scorers_[s], preset_.stages[s].scorer, in, plan);
  }

  /// All slots compete; what wins is forced for later stages.
  void contest(const Allocator& allocator, double share) {
    std::vector<HeadContest> heads = contests_of(layers_, options_.head_shares);
    force_floors(heads, options_.floors, share, allocator.requires_comparable(),
                 allocator.shared_layers());
    mark_chosen(layers_, allocator.allocate(heads, share));
  }

  // ---- the new segment

  /// A layer's slots and what was chosen of them.
  struct LayerBuild {
    LayerBuild(const KvCache& cache, PositionRange span, const LayerPlan& plan)
        : layer(plan.layer),
          tokens(span.size()),
          slots(cache_gather(cache, plan.layer, span)),
          kept(plan.kept()),
          verbatim(plan.kept_verbatim()) {
      for (const auto& [name, values] : plan.carried) slots.extras[name] = values;
    }
    BuildInput input(const LayerQueries* queries, const std::vector<HeadAttention>* seen) const {
      return {layer, &slots, kept, queries, seen, verbatim, tokens};
    }
    int64_t layer, tokens;
    LayerSegment slots;
    std::vector<std::vector<int32_t>> kept, verbatim;
  };

  void build() {
    Stopwatch watch;
    std::vector<LayerSegmentPtr> built(cache_.shape().layer_count());
    std::vector<BuildStatistics> statistics(layers_.size());
    const auto total = static_cast<int64_t>(layers_.size());
    if (options_.on_policy && builder_->needs_queries())
      build_on_policy(built, statistics);
    else
      build_heads(built, statistics);
    report_progress(options_.progress, {"build", "layers", total, total});
    for (const LayerPlan& plan : layers_)
      for (int64_t h = 0; h < built[plan.layer]->kv_heads(); ++h) {
        report_.kept.push_back(built[plan.layer]->slots(h));
        report_.entries_after += report_.kept.back();
      }
    report_.settle_ratio();
    note_fits(statistics, report_);
    replace_span(cache_, span_, segment_info(cache_, preset_, options_, report_), std::move(built));
    report_.seconds.emplace_back("build", watch.seconds());
    report_.bytes_after = cache_.bytes().total();
  }

  /// Heads by falling number of slots kept, each layer's segment when its last head is done.
  void build_heads(std::vector<LayerSegmentPtr>& built, std::vector<BuildStatistics>& statistics) {
    struct Task {
      size_t layer;
      int64_t head, kept;
    };
    std::vector<Task> tasks;
    std::vector<std::vector<std::optional<FittedHead>>> fitted(layers_.size());
    std::vector<std::atomic<int64_t>> open(layers_.size());
    for (size_t i = 0; i < layers_.size(); ++i) {
      const LayerPlan& plan = layers_[i];
      for (int64_t h = 0; h < plan.heads(); ++h) tasks.push_back({i, h, plan.forced_count(h)});
      fitted[i].resize(plan.offsets.size() - 1);
      open[i] = static_cast<int64_t>(fitted[i].size());
    }
    std::stable_sort(tasks.begin(), tasks.end(),
                     [](const Task& a, const Task& b) { return a.kept > b.kept; });
    parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t t) {
      const size_t i = tasks[t].layer;
      const LayerBuild part(cache_, span_, layers_[i]);
      const BuildInput in = rows_.empty() ? part.input(nullptr, nullptr)
                                          : part.input(&rows_[part.layer], &seen_[part.layer]);
      fitted[i][tasks[t].head] = builder_->fit(in, tasks[t].head);
      if (--open[i] == 0)
        built[part.layer] =
            std::make_shared<LayerSegment>(builder_->build(in, fitted[i], statistics[i]));
    });
  }

  /// The queries of layer l come from a model that already reads compact layers below it.
  void build_on_policy(std::vector<LayerSegmentPtr>& built,
                       std::vector<BuildStatistics>& statistics) {
    if (options_.queries != nullptr)
      throw InvalidArgument("[compact] on_policy makes its own queries; stored ones cannot serve");
    for_each_query_layer(
        model_, cache_, span_, reference_suffixes(model_, cache_, span_, options_),
        [&](const LayerQueries& q) {
          note_pass(q);
          const LayerPlan& plan = plan_of(q.layer);
          const LayerQueries rows = q.subset(limit_, cache_.shape().kv_heads);
          built[q.layer] = std::make_shared<LayerSegment>(
              builder_->build(LayerBuild(cache_, span_, plan).input(&rows, nullptr),
                              statistics[&plan - layers_.data()]));
          return LayerAnswer{built[q.layer], nullptr};
        },
        options_.progress);
  }

  const Model& model_;
  KvCache& cache_;
  const CompactOptions& options_;
  Preset preset_;
  int64_t slots_override_ = -1, mean_budget_ = 1, limit_ = 0, recent_ = 0;
  double pass_scoring_ = 0;
  double borrowed_ = 0;  ///< seconds of work that a stage took over from another compaction
  const StoredScores* known_ = nullptr;  ///< of the first stage
  PositionRange span_;
  std::vector<LayerPlan> layers_;
  std::vector<LayerQueries> rows_;  ///< [layers] what is kept of the reference queries
  std::vector<std::vector<HeadAttention>> seen_;  ///< [layers] what those rows see, if known
  /// [layers] what all rows of the pass saw, where a later compaction may want it.
  std::optional<std::vector<std::vector<HeadAttention>>> seen_in_pass_;
  int64_t seen_bytes_ = 0;
  std::vector<std::unique_ptr<Scorer>> scorers_;
  std::vector<std::unique_ptr<Allocator>> allocators_;
  std::unique_ptr<Builder> builder_;
  CompactReport report_;
};

}  // namespace

CompactReport run_contest(const Model& model, KvCache& cache, const CompactOptions& options,
                          int64_t slots) {
  return Compaction(model, cache, options, slots).run();
}

}  // namespace limbeck
