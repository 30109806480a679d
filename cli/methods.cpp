#include "cli/commands.h"

#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/build/builder.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
namespace {

nlohmann::ordered_json registry_json() {
  nlohmann::ordered_json j;
  for (const Preset& p : preset_registry()) {
    nlohmann::ordered_json stages = nlohmann::ordered_json::array();
    for (const Stage& s : p.stages)
      stages.push_back({{"scorer", s.scorer}, {"allocator", s.allocator}, {"share", s.share}});
    j["methods"].push_back({{"name", p.name},
                            {"summary", p.summary},
                            {"source", p.source},
                            {"stages", stages},
                            {"builder", p.builder}});
  }
  for (const ScorerEntry& s : scorer_registry()) {
    const ScorerTraits t = s.make({})->traits();
    nlohmann::ordered_json options = nlohmann::ordered_json::array();
    for (const FieldInfo& f : s.describe())
      options.push_back({{"name", f.name},
                         {"type", f.type},
                         {"default", f.default_value},
                         {"allowed", f.allowed},
                         {"help", f.help}});
    j["scorers"].push_back({{"name", s.name},
                            {"summary", s.summary},
                            {"source", s.source},
                            {"comparable", comparable_name(t.comparable)},
                            {"needs_queries", t.needs_queries},
                            {"query_dependent", t.query_dependent},
                            {"sinks", t.sinks},
                            {"recent", t.recent},
                            {"options", options}});
  }
  for (const AllocatorEntry& a : allocator_registry())
    j["allocators"].push_back({{"name", a.name}, {"summary", a.summary}});
  for (const BuilderEntry& b : builder_registry())
    j["builders"].push_back({{"name", b.name}, {"summary", b.summary}});
  return j;
}

}  // namespace

int run_methods(const Globals& globals) {
  const nlohmann::ordered_json j = registry_json();
  if (globals.json) {
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  const auto text = [](const nlohmann::ordered_json& x, const char* key) {
    return x[key].get<std::string>();
  };
  fmt::print("methods (--method): scorer x allocator x builder under a published name\n");
  for (const auto& m : j["methods"]) {
    std::string parts;
    for (const auto& s : m["stages"])
      parts += fmt::format("{} x {}, ", text(s, "scorer"), text(s, "allocator"));
    const std::string mark = text(m, "name") == kDefaultMethod ? " (default)" : "";
    fmt::print("  {:<14} {}{}\n  {:<14} {}{}; {}\n", text(m, "name"), text(m, "summary"), mark, "",
               parts, text(m, "builder"), text(m, "source"));
  }
  fmt::print("\nscorers (--scorer, options with --set name=value)\n");
  for (const auto& s : j["scorers"]) {
    fmt::print("  {:<14} {}; scores comparable within one {}{}\n", text(s, "name"),
               text(s, "summary"), text(s, "comparable") == "none" ? "head" : text(s, "comparable"),
               s["needs_queries"].get<bool>() ? "; runs a repeat pass" : "");
    for (const auto& o : s["options"])
      fmt::print("      {} = {}  {}: {}\n", text(o, "name"), text(o, "default"), text(o, "allowed"),
                 text(o, "help"));
  }
  fmt::print("\nallocators (--allocator)\n");
  for (const auto& a : j["allocators"])
    fmt::print("  {:<14} {}\n", text(a, "name"), text(a, "summary"));
  fmt::print("\nbuilders (--builder)\n");
  for (const auto& b : j["builders"])
    fmt::print("  {:<14} {}\n", text(b, "name"), text(b, "summary"));
  return 0;
}

}  // namespace limbeck::cli
