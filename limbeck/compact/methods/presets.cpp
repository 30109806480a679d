#include "limbeck/compact/methods/presets.h"

#include "limbeck/base/error.h"

namespace limbeck {

const std::vector<Preset>& preset_registry() {
  // e^-3 and e^3 bound the weights of the published highest-attention method, e^7 those of the
  // matching pursuits (arXiv 2602.16284).
  static const OptionTexts hak = {
      {"iterations", "2"}, {"low", "0.049787068367863944"}, {"high", "20.085536923187668"}};
  static const std::vector<Preset> presets = {
      {"am-first",
       "control: the first keys, fitted as am-omp",
       "arXiv 2602.16284",
       {{"streaming", {{"order", "oldest"}}, "uniform"}},
       "fit-literal",
       {}},
      {"am-hak",
       "highest root-mean-square attention, weights and values by least squares",
       "arXiv 2602.16284",
       {{"attention", {{"reduce", "rms"}}, "uniform"}},
       "fit-literal",
       hak},
      {"am-omp",
       "orthogonal matching pursuit on the attention mass, one key a step",
       "arXiv 2602.16284",
       {{"omp", {}, "uniform"}},
       "fit-literal",
       {}},
      {"am-omp-fast",
       "the same, four keys a step, weights every second step",
       "arXiv 2602.16284",
       {{"omp", {{"pace", "4/2"}}, "uniform"}},
       "fit-literal",
       {}},
      {"am-omp-gram",
       "am-omp from the Gram matrix: the same picks, many times faster",
       "ours, after arXiv 2602.16284",
       {{"omp", {{"form", "gram"}}, "uniform"}},
       "fit-literal",
       {}},
      {"am-random",
       "control: a seeded random subset, fitted as am-omp",
       "arXiv 2602.16284",
       {{"random", {}, "uniform"}},
       "fit-literal",
       {}},
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
      {"kvzip-fit",
       "kvzip's entries with fitted biases and values",
       "ours, after arXiv 2505.23416",
       {{"kvzip", {}, "model"}},
       "fit"},
      {"kvzip-uniform",
       "the same scores, every head the same share",
       "arXiv 2505.23416",
       {{"kvzip", {}, "uniform"}}},
      {"limbeck",
       "what single queries need, then what most queries need, then fitted",
       "ours",
       {{"attention", {{"reduce", "max"}}, "model", 0.7}, {"wpc", {}, "model", 0.3}},
       "fit"},
      {"random", "the control: a seeded random subset", "none", {{"random", {}, "uniform"}}},
      {"streaming",
       "first and newest tokens (keys keep their positions)",
       "arXiv 2309.17453",
       {{"streaming", {}, "uniform"}}},
      {"wpc",
       "weighted pivoted Cholesky and water-filling over all heads, fitted",
       "ours",
       {{"wpc", {}, "model"}},
       "fit"},
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
