#include "limbeck/compact/methods/presets.h"

#include "limbeck/base/error.h"

namespace limbeck {

const std::vector<Preset>& preset_registry() {
  static const std::vector<Preset> presets = {
      {"keydiff",
       "keys unlike the crowd, every head the same share",
       "arXiv 2504.15364",
       {{"keydiff", {}, "uniform"}}},
      {"knorm",
       "keys of small norm, every head the same share",
       "arXiv 2406.11430",
       {{"knorm", {}, "uniform"}}},
      {"kvzip",
       "what a repeat of the text attends to, one ranking over the whole model",
       "arXiv 2505.23416",
       {{"kvzip", {}, "model"}}},
      {"kvzip-uniform",
       "the same scores, every head the same share",
       "arXiv 2505.23416",
       {{"kvzip", {}, "uniform"}}},
      {"random", "the control: a seeded random subset", "none", {{"random", {}, "uniform"}}},
      {"streaming",
       "first and newest tokens (keys keep their positions)",
       "arXiv 2309.17453",
       {{"streaming", {}, "uniform"}}},
  };
  return presets;
}

const Preset& find_preset(std::string_view name) {
  std::string known;
  for (const Preset& p : preset_registry()) {
    if (p.name == name) return p;
    known += (known.empty() ? "" : ", ") + p.name;
  }
  throw InvalidArgument("[compact] unknown method \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
