#include "limbeck/base/error.h"
#include "limbeck/compact/contest.h"

#include <algorithm>

namespace limbeck {

Preset resolve_preset(const CompactOptions& options) {
  Preset p = find_preset(options.method);
  const bool touched = !options.scorer.empty() || !options.allocator.empty();
  if (touched && p.stages.size() != 1)
    throw InvalidArgument(
        "[compact] {} has {} stages; scorer and allocator can replace those of a single one",
        p.name, p.stages.size());
  if (options.first_share) {
    if (p.stages.size() != 2 || *options.first_share < 0 || *options.first_share > 1)
      throw InvalidArgument(
          "[compact] first_share is a number in [0, 1] for methods of two stages; found {} for "
          "{} of {}",
          *options.first_share, p.name, p.stages.size());
    p.stages[0].share = *options.first_share;
    p.stages[1].share = 1.0 - *options.first_share;
    p.share_rises = p.share_whole = 1.0;
  }
  if (options.head_power) {
    if (!(*options.head_power >= 0 && *options.head_power <= 4))
      throw InvalidArgument("[compact] head_power must be in [0, 4]; found {}",
                            *options.head_power);
    p.head_power = p.small.head_power = *options.head_power;
  } else if (p.small.none > 0.0) {
    p.small.head_power = options.head_weights.coverage_power;
  }
  const bool coverage = !options.coverage.empty() || !options.coverage_allocator.empty() ||
                        !options.coverage_options.empty() ||
                        !options.coverage_allocator_options.empty();
  if (coverage && p.stages.size() != 2)
    throw InvalidArgument(
        "[compact] coverage is the first stage of methods of two stages; {} has {}", p.name,
        p.stages.size());
  // Options of another part than the preset's own mean nothing.
  const auto replace = [](std::string& part, OptionTexts& part_options, const std::string& by) {
    if (!by.empty() && by != part) part_options.clear();
    if (!by.empty()) part = by;
  };
  replace(p.stages[0].scorer, p.stages[0].options, options.scorer);
  replace(p.stages[0].allocator, p.stages[0].allocator_options, options.allocator);
  if (coverage) {
    // What depends on how much is kept was measured with the preset's own first stage.
    p.share_rises = p.share_whole = 1.0;
    p.small = {};
    replace(p.stages[0].scorer, p.stages[0].options, options.coverage);
    replace(p.stages[0].allocator, p.stages[0].allocator_options, options.coverage_allocator);
    for (const auto& [key, value] : options.coverage_options) p.stages[0].options[key] = value;
    for (const auto& [key, value] : options.coverage_allocator_options)
      p.stages[0].allocator_options[key] = value;
  }
  replace(p.builder, p.builder_options, options.builder);
  for (const auto& [key, value] : options.scorer_options) p.stages.back().options[key] = value;
  for (const auto& [key, value] : options.allocator_options)
    p.stages.back().allocator_options[key] = value;
  for (const auto& [key, value] : options.builder_options) p.builder_options[key] = value;
  if (!options.coverage.empty() || !options.coverage_allocator.empty())
    p.name = fmt::format("{} ({} x {} first)", p.name, p.stages[0].scorer, p.stages[0].allocator);
  if (touched || !options.builder.empty())
    p.name = fmt::format("{} x {} x {}", p.stages[0].scorer, p.stages[0].allocator, p.builder);
  return p;
}

bool method_needs_queries(const CompactOptions& options) {
  const Preset preset = resolve_preset(options);
  for (const Stage& stage : preset.stages)
    if (make_scorer(stage.scorer, stage.options)->traits().needs_queries) return true;
  return make_builder(preset.builder, preset.builder_options)->needs_queries();
}

void check_comparable(const Stage& stage, const Scorer& scorer, const Allocator& allocator,
                      std::string_view normalize) {
  const ScorerTraits traits = scorer.traits();
  const Comparable need = allocator.requires_comparable();
  if ((normalize.empty() ? traits.comparable : Comparable::model) < need)
    throw InvalidArgument(
        "[compact] scores of \"{}\" are comparable within one {} only, \"{}\" ranks over the whole "
        "{}; set normalize to zscore, rank or share",
        stage.scorer, traits.comparable == Comparable::none ? "head" : "layer", stage.allocator,
        comparable_name(need));
}

void check_combination(const Preset& preset, std::span<const std::unique_ptr<Scorer>> scorers,
                       std::span<const std::unique_ptr<Allocator>> allocators,
                       const Builder& builder, const CompactOptions& options) {
  bool reads_table = false, normalizable = false;
  for (size_t s = 0; s < preset.stages.size(); ++s) {
    check_comparable(preset.stages[s], *scorers[s], *allocators[s], options.normalize);
    normalizable |= scorers[s]->traits().normalizable;
    if (allocators[s]->table() == TableUse::none) continue;
    reads_table = true;
    if (options.head_shares.empty())
      throw InvalidArgument(
          "[compact] the allocator \"{}\" needs a table of the heads (head_shares)",
          preset.stages[s].allocator);
  }
  if (!options.normalize.empty() && !normalizable)
    throw InvalidArgument(
        "[compact] normalize would lose the order of \"{}\" scores, which are on one scale "
        "already; leave it out",
        preset.stages.back().scorer);
  if (!options.head_shares.empty() && !reads_table)
    throw InvalidArgument("[compact] head_shares are read by the allocator \"table\"; found \"{}\"",
                          preset.stages.back().allocator);
  if (options.on_policy && !builder.needs_queries())
    throw InvalidArgument("[compact] on_policy refits the kept slots; the builder \"{}\" fits none",
                          preset.builder);
}

void check_head_tables(const CacheShape& shape, const CompactOptions& options) {
  for (const HeadTable* table : {&options.head_weights, &options.head_shares})
    if (!table->empty() &&
        (table->layers != shape.layer_count() || table->kv_heads != shape.kv_heads))
      throw Mismatch("[compact] a head table of {} layers of {} heads for a model of {} of {}",
                     table->layers, table->kv_heads, shape.layer_count(), shape.kv_heads);
  if (options.head_power.value_or(0.0) > 0.0 && options.head_weights.empty())
    throw InvalidArgument("[compact] head_power needs a table of the heads (head_weights)");
}

namespace {

/// Reference queries as asked for; empty where they are the preset's own.
std::string query_sources(const CompactOptions& o) {
  if (!o.sources && o.references.empty() && o.sampled_tokens == 0 && !o.prefill_queries) return {};
  const QuerySources from = sources_of(o);
  const bool passes = !o.repeat.first.empty();
  std::string out;
  const auto add = [&](bool used, std::string_view name) {
    if (used) out += fmt::format("{}{}", out.empty() ? "" : ",", name);
  };
  add(passes && from.repeat, "repeat");
  add(passes && from.excerpts > 0, fmt::format("excerpts {}", from.excerpts));
  add(!o.references.empty(), "references");
  add(o.sampled_tokens > 0, fmt::format("sampled {}", o.sampled_tokens));
  add(o.prefill_queries, "prefill");
  return out;
}

}  // namespace

SegmentInfo segment_info(const KvCache& cache, const Preset& preset, const CompactOptions& options,
                         const CompactReport& report) {
  SegmentInfo info;
  info.begin = report.span.begin;
  info.end = report.span.end;
  info.state = SpanState::compacted;
  info.method = report.method;
  info.query_aware = options.query_aware;
  for (const Stage& stage : preset.stages) {
    for (const auto& [key, value] : stage.options) info.options[stage.scorer + "." + key] = value;
    for (const auto& [key, value] : stage.allocator_options)
      info.options[stage.allocator + "." + key] = value;
  }
  for (const auto& [key, value] : preset.builder_options)
    info.options[preset.builder + "." + key] = value;
  if (options.first_share) info.options["first_share"] = fmt::format("{}", *options.first_share);
  if (options.head_power) info.options["head_power"] = fmt::format("{}", *options.head_power);
  if (!options.coverage.empty()) info.options["coverage"] = options.coverage;
  if (!options.coverage_allocator.empty())
    info.options["coverage_allocator"] = options.coverage_allocator;
  info.options["seed"] = std::to_string(options.seed);
  if (options.on_policy) info.options["on_policy"] = "true";
  if (options.polish > 0) info.options["polish"] = std::to_string(options.polish);
  if (options.polish > 0 || method_needs_queries(options))
    if (const std::string queries = query_sources(options); !queries.empty())
      info.options["queries"] = queries;
  if (!options.normalize.empty()) info.options["normalize"] = options.normalize;
  if (options.chunk > 0) info.options["chunk"] = std::to_string(options.chunk);
  info.requested_ratio = report.requested_ratio;
  info.achieved_ratio = report.achieved_ratio;
  info.statistics = report.statistics;
  info.statistics["entries_before"] = static_cast<double>(report.entries_before);
  info.statistics["entries_after"] = static_cast<double>(report.entries_after);
  int64_t generation = 0;
  for (const SegmentInfo& old : cache.segments())
    if (old.begin < info.end && old.end > info.begin)
      generation = std::max(generation, old.generation);
  info.generation = generation + 1;
  return info;
}

}  // namespace limbeck
