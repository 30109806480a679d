#include "cli/commands.h"

#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/build/builder.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
nlohmann::ordered_json fields_json(const std::vector<FieldInfo>& fields) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const FieldInfo& f : fields)
    out.push_back({{"name", f.name},
                   {"type", f.type},
                   {"default", f.default_value},
                   {"allowed", f.allowed},
                   {"help", f.help}});
  return out;
}

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
    j["scorers"].push_back({{"name", s.name},
                            {"summary", s.summary},
                            {"source", s.source},
                            {"comparable", comparable_name(t.comparable)},
                            {"needs_queries", t.needs_queries},
                            {"query_dependent", t.query_dependent},
                            {"sinks", t.sinks},
                            {"recent", t.recent},
                            {"own_rows", t.own_rows == kAllRows ? -1 : t.own_rows},
                            {"options", fields_json(s.describe())}});
  }
  for (const AllocatorEntry& a : allocator_registry())
    j["allocators"].push_back({{"name", a.name},
                               {"summary", a.summary},
                               {"source", a.source},
                               {"comparable", comparable_name(a.make({})->requires_comparable())},
                               {"options", fields_json(a.describe())}});
  for (const BuilderEntry& b : builder_registry())
    j["builders"].push_back({{"name", b.name},
                             {"summary", b.summary},
                             {"source", b.source},
                             {"options", fields_json(b.describe())}});
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
  const auto source = [&](const nlohmann::ordered_json& x) {
    const std::string from = text(x, "source");
    return from.empty() || from == "none" ? "" : "; " + from;
  };
  const auto print_options = [&](const nlohmann::ordered_json& options) {
    for (const auto& o : options)
      fmt::print("      {} = {}  {}: {}\n", text(o, "name"), text(o, "default"), text(o, "allowed"),
                 text(o, "help"));
  };
  fmt::print(
      "methods (--method): scorer x allocator x builder under a published name. A scorer's name is "
      "a\nmethod too (every head the same share); with +fit behind it (snapkv+fit) a method gets "
      "fitted\nbiases and values\n");
  for (const auto& m : j["methods"]) {
    std::string parts;
    for (const auto& s : m["stages"])
      parts += fmt::format("{} x {}, ", text(s, "scorer"), text(s, "allocator"));
    const std::string mark = text(m, "name") == kDefaultMethod ? " (default)" : "";
    fmt::print("  {:<18} {}{}\n  {:<18} {}{}; {}\n", text(m, "name"), text(m, "summary"), mark, "",
               parts, text(m, "builder"), text(m, "source"));
  }
  fmt::print("\nscorers (--scorer, options with --set name=value)\n");
  for (const auto& s : j["scorers"]) {
    const int64_t own = s["own_rows"].get<int64_t>();
    const std::string reads = s["needs_queries"].get<bool>()
                                  ? "; reads the text again behind itself"
                              : own < 0 ? "; reads the text again"
                              : own > 0 ? fmt::format("; reads the last {} tokens again", own)
                                        : "";
    fmt::print("  {:<14} {}; scores comparable within one {}{}{}\n", text(s, "name"),
               text(s, "summary"), text(s, "comparable") == "none" ? "head" : text(s, "comparable"),
               reads, source(s));
    print_options(s["options"]);
  }
  fmt::print("\nallocators (--allocator, options with --set-allocator name=value)\n");
  for (const auto& a : j["allocators"]) {
    const std::string need = text(a, "comparable");
    fmt::print("  {:<14} {}{}{}\n", text(a, "name"), text(a, "summary"),
               need == "none" ? "" : "; needs scores comparable within one " + need, source(a));
    print_options(a["options"]);
  }
  fmt::print("\nbuilders (--builder, options with --set-builder name=value)\n");
  for (const auto& b : j["builders"]) {
    fmt::print("  {:<14} {}{}\n", text(b, "name"), text(b, "summary"), source(b));
    print_options(b["options"]);
  }
  return 0;
}

}  // namespace limbeck::cli
