#include "limbeck/compact/score/scorer.h"

namespace limbeck {

const std::vector<ScorerEntry>& scorer_registry() {
  static const std::vector<ScorerEntry> entries = {
      {"attention", "highest, root-mean-square or mean attention of the reference queries",
       "arXiv 2602.16284", make_attention_scorer, describe_attention_scorer},
      {"keydiff", "keys unlike the mean key direction", "arXiv 2504.15364", make_keydiff_scorer,
       describe_keydiff_scorer},
      {"knorm", "keys of small norm", "arXiv 2406.11430", make_knorm_scorer, describe_knorm_scorer},
      {"kvzip", "highest attention while the model repeats the text", "arXiv 2505.23416",
       make_kvzip_scorer, describe_kvzip_scorer},
      {"omp", "orthogonal matching pursuit on the attention mass", "arXiv 2602.16284",
       make_omp_scorer, describe_omp_scorer},
      {"random", "a seeded random subset: the control", "none", make_random_scorer,
       describe_random_scorer},
      {"streaming", "first tokens and newest tokens", "arXiv 2309.17453", make_streaming_scorer,
       describe_streaming_scorer},
      {"wpc", "weighted pivoted Cholesky: what explains mass and output best", "ours",
       make_wpc_scorer, describe_wpc_scorer},
  };
  return entries;
}

std::unique_ptr<Scorer> make_scorer(std::string_view name, const OptionTexts& options) {
  std::string known;
  for (const ScorerEntry& e : scorer_registry()) {
    if (e.name == name) return e.make(options);
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw InvalidArgument("[compact] unknown scorer \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
