#include "limbeck/base/error.h"
#include "limbeck/compact/contest.h"

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
  }
  // Options of another scorer or allocator than the preset's own mean nothing.
  const auto replace = [](std::string& part, OptionTexts& part_options, const std::string& by) {
    if (!by.empty() && by != part) part_options.clear();
    if (!by.empty()) part = by;
  };
  replace(p.stages[0].scorer, p.stages[0].options, options.scorer);
  replace(p.stages[0].allocator, p.stages[0].allocator_options, options.allocator);
  if (!options.builder.empty()) p.builder = options.builder;
  for (const auto& [key, value] : options.scorer_options) p.stages.back().options[key] = value;
  for (const auto& [key, value] : options.allocator_options)
    p.stages.back().allocator_options[key] = value;
  // Options of another builder than the preset's own mean nothing.
  if (!options.builder.empty()) p.builder_options.clear();
  for (const auto& [key, value] : options.builder_options) p.builder_options[key] = value;
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

}  // namespace limbeck
