#include "limbeck/eval/method_facts.h"

#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/contest.h"
#include "limbeck/io/checksum.h"

#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using nlohmann::ordered_json;

/// The fields of the entry called `name`, with the given values in place of defaults.
template <class Entry>
ordered_json part_facts(const std::vector<Entry>& registry, const std::string& name,
                        const OptionTexts& given) {
  ordered_json out{{"name", name}, {"options", ordered_json::object()}};
  for (const Entry& entry : registry) {
    if (entry.name != name) continue;
    for (const FieldInfo& field : entry.describe()) {
      const auto it = given.find(field.name);
      out["options"][field.name] = it == given.end() ? field.default_value : it->second;
    }
  }
  return out;
}

ordered_json table_facts(const HeadTable& table) {
  if (table.empty()) return nullptr;
  Hasher128 hash;
  hash.update(head_table_json(table));
  return hash_hex(hash.digest());
}

}  // namespace

ordered_json method_facts(const MethodEntry& method) {
  const CompactOptions& o = method.options;
  const Preset preset = resolve_preset(o);
  const QuerySources from = o.sources.value_or(preset.queries);
  ordered_json out;
  out["method"] = method.label;
  out["fingerprint"] = method_fingerprint(method);
  out["parts"] = preset.name;
  out["stages"] = ordered_json::array();
  for (const Stage& stage : preset.stages)
    out["stages"].push_back({{"share", stage.share},
                             {"scorer", part_facts(scorer_registry(), stage.scorer, stage.options)},
                             {"allocator", part_facts(allocator_registry(), stage.allocator,
                                                      stage.allocator_options)}});
  out["share_rises"] = {preset.share_rises, preset.share_whole};
  out["head_power"] = preset.head_power;
  out["small"] = {{"all", preset.small.all},
                  {"none", preset.small.none},
                  {"head_power", preset.small.head_power}};
  out["builder"] = part_facts(builder_registry(), preset.builder, preset.builder_options);
  out["normalize"] = o.normalize;
  out["queries"] = {
      {"repeat", from.repeat}, {"excerpts", from.excerpts}, {"self_study", method.self_study}};
  out["on_policy"] = o.on_policy;
  out["polish"] = o.polish;
  out["after"] = method.after;
  out["head_weights"] = table_facts(o.head_weights);
  out["head_shares"] = table_facts(o.head_shares);
  return out;
}

}  // namespace limbeck
