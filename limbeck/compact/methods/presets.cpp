#include "limbeck/compact/methods/presets.h"

#include "limbeck/base/error.h"

#include <algorithm>

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
       "am-omp from the Gram matrix: nearly the same picks, faster, nothing dropped",
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
      {"chunkkv",
       "snapkv's scores, groups of 20 neighbours, the same for every head of a layer",
       "arXiv 2502.00299",
       {{"snapkv", {}, "chunk"}}},
      {"compactor",
       "attention inside blocks and leverage, every head the same share",
       "arXiv 2507.08143",
       {{"compactor", {}, "uniform"}}},
      {"compactor-adakv",
       "the same scores, heads of a layer share their budget",
       "arXiv 2507.08143 and 2407.11550",
       {{"compactor", {}, "adakv"}}},
      {"compactor-kvpress",
       "compactor with kvpress's settings: |v|, smoothing, leverage weighs what is removed",
       "arXiv 2507.08143",
       {{"compactor",
         {{"pool", "3"}, {"removed_blend", "true"}, {"value_norm", "true"}},
         "uniform"}}},
      {"critical",
       "snapkv's best half, then by what slots add to the output",
       "arXiv 2502.03805",
       {{"critical", {}, "uniform"}}},
      {"cur",
       "norms of keys and values against their neighbours, every head the same share",
       "arXiv 2509.15038",
       {{"cur", {}, "uniform"}}},
      {"expected",
       "attention that queries to come are expected to give, every head the same share",
       "arXiv 2510.00636",
       {{"expected", {}, "uniform"}}},
      {"expected-adakv",
       "the same scores, heads of a layer share their budget",
       "arXiv 2510.00636",
       {{"expected", {{"epsilon", "0.01"}}, "adakv"}}},
      {"fast",
       "leverage alone: no pass over the text, heads of a layer share their budget",
       "after arXiv 2507.08143",
       {{"leverage", {}, "adakv"}}},
      {"finch",
       "what a question at the end of the text attends to; for that question only",
       "TACL 2024, FINCH",
       {{"finch", {}, "uniform"}}},
      {"h2o",
       "attention of all tokens behind a slot, every head the same share",
       "arXiv 2306.14048",
       {{"h2o", {}, "uniform"}}},
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
      {"lagkv",
       "how unevenly a token lies in the range of the next chunk",
       "arXiv 2504.04704",
       {{"lagkv", {}, "uniform"}}},
      {"limbeck",
       "what single queries need, then what most queries need, then fitted",
       "ours",
       {{"attention", {{"reduce", "max"}}, "model", 0.7}, {"wpc", {}, "model", 0.3}},
       "fit",
       {},
       {.repeat = false, .excerpts = kExcerptTokens},
       /*share_rises=*/0.25,
       /*share_whole=*/0.75,
       {.all = 0.02, .none = 0.045}},
      {"pyramidkv",
       "snapkv's scores, low layers keep more than high ones",
       "arXiv 2406.02069",
       {{"snapkv", {}, "pyramid"}}},
      {"random", "the control: a seeded random subset", "none", {{"random", {}, "uniform"}}},
      {"sage",
       "attention of the last token, by KV head",
       "arXiv 2503.08879",
       {{"sage", {}, "uniform"}}},
      {"snapkv",
       "smoothed attention of the last tokens, every head the same share",
       "arXiv 2404.14469",
       {{"snapkv", {}, "uniform"}}},
      {"snapkv-adakv",
       "the same scores, heads of a layer share their budget",
       "arXiv 2407.11550",
       {{"snapkv", {}, "adakv"}}},
      {"streaming",
       "first and newest tokens (keys keep their positions)",
       "arXiv 2309.17453",
       {{"streaming", {}, "uniform"}}},
      {"tova",
       "attention of the last token, mean over the layer",
       "arXiv 2401.06104",
       {{"tova", {}, "uniform"}}},
      {"wpc",
       "weighted pivoted Cholesky and water-filling over all heads, fitted",
       "ours",
       // Alone it has nothing else that keeps what single queries need, and any two of these may
       // meet in a sum of rows.
       {{"wpc", {{"dense", "2048"}, {"reach", "3"}}, "model"}},
       "fit"},
  };
  return presets;
}

namespace {

/// 1 where a budget counts as small, 0 where it does not.
double smallness(const SmallBudgets& small, double kept) {
  if (kept >= small.none) return 0.0;
  return std::min(1.0, (small.none - kept) / (small.none - small.all));
}

}  // namespace

double first_share(const Preset& p, double kept) {
  const double share = p.stages.front().share;
  if (p.stages.size() != 2 || kept <= p.share_rises) return share;
  if (kept >= p.share_whole) return 1.0;
  return share + (1.0 - share) * (kept - p.share_rises) / (p.share_whole - p.share_rises);
}

double head_power(const Preset& p, double kept) {
  return p.head_power + smallness(p.small, kept) * (p.small.head_power - p.head_power);
}

Preset find_preset(std::string_view name) {
  constexpr std::string_view kFit = "+fit";
  if (name.ends_with(kFit)) {
    Preset p = find_preset(name.substr(0, name.size() - kFit.size()));
    p.name += kFit;
    p.builder = "fit";
    p.builder_options.clear();
    return p;
  }
  std::string known;
  for (const Preset& p : preset_registry()) {
    if (p.name == name) return p;
    known += (known.empty() ? "" : ", ") + p.name;
  }
  for (const ScorerEntry& s : scorer_registry())
    if (s.name == name) return {s.name, s.summary, s.source, {{s.name, {}, "uniform"}}};
  throw InvalidArgument(
      "[compact] unknown method \"{}\"; known: {}; scorers, and each of these with +fit", name,
      known);
}

}  // namespace limbeck
