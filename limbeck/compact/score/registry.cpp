#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {

const std::vector<ScorerEntry>& scorer_registry() {
  static const std::vector<ScorerEntry> entries = {
      {"attention", "highest, root-mean-square or mean attention of the reference queries",
       "arXiv 2602.16284", make_attention_scorer, describe_attention_scorer},
      {"compactor", "attention inside blocks and leverage, both standardised", "arXiv 2507.08143",
       make_compactor_scorer, describe_compactor_scorer},
      {"critical", "a base scorer's attention times the size of what a slot adds to the output",
       "arXiv 2502.03805", make_critical_scorer, describe_critical_scorer},
      {"cur", "norms of keys and values against their neighbours'", "arXiv 2509.15038",
       make_cur_scorer, describe_cur_scorer},
      {"expected", "attention that queries to come are expected to give", "arXiv 2510.00636",
       make_expected_scorer, describe_expected_scorer},
      {"finch", "attention of a question at the end of the span", "TACL 2024, FINCH",
       make_finch_scorer, describe_finch_scorer},
      {"h2o", "attention of all tokens behind a slot", "arXiv 2306.14048", make_h2o_scorer,
       describe_h2o_scorer},
      {"keydiff", "keys unlike the mean key direction", "arXiv 2504.15364", make_keydiff_scorer,
       describe_keydiff_scorer},
      {"knorm", "keys of small norm", "arXiv 2406.11430", make_knorm_scorer, describe_knorm_scorer},
      {"kvzip", "highest attention while the model repeats the text", "arXiv 2505.23416",
       make_kvzip_scorer, describe_kvzip_scorer},
      {"lagkv", "how unevenly a token lies in the range of the next chunk", "arXiv 2504.04704",
       make_lagkv_scorer, describe_lagkv_scorer},
      {"leverage", "keys that the other keys do not explain", "arXiv 2507.08143",
       make_leverage_scorer, describe_leverage_scorer},
      {"noncausal", "attention without a causal mask inside blocks", "arXiv 2507.08143",
       make_noncausal_scorer, describe_noncausal_scorer},
      {"omp", "orthogonal matching pursuit on the attention mass", "arXiv 2602.16284",
       make_omp_scorer, describe_omp_scorer},
      {"random", "a seeded random subset: the control", "none", make_random_scorer,
       describe_random_scorer},
      {"sage", "attention of the last token, by KV head", "arXiv 2503.08879", make_sage_scorer,
       describe_sage_scorer},
      {"snapkv", "smoothed attention of the last tokens", "arXiv 2404.14469", make_snapkv_scorer,
       describe_snapkv_scorer},
      {"streaming", "first tokens and newest tokens", "arXiv 2309.17453", make_streaming_scorer,
       describe_streaming_scorer},
      {"tova", "attention of the last token, mean over the layer", "arXiv 2401.06104",
       make_tova_scorer, describe_tova_scorer},
      {"wpc", "weighted pivoted Cholesky: what explains mass and output best", "ours",
       make_wpc_scorer, describe_wpc_scorer},
  };
  return entries;
}

void score_visible(
    const LayerSegment& slots, const at::Tensor& out,
    const std::function<at::Tensor(const at::Tensor& keys, const at::Tensor& values)>& score) {
  for (int64_t h = 0; h < slots.kv_heads(); ++h) {
    const int64_t first = slots.offsets[h], n = slots.slots(h);
    if (n == 0) continue;
    const at::Tensor keys = slots.keys.narrow(0, first, n),
                     values = slots.values.narrow(0, first, n), target = out.narrow(0, first, n);
    const at::Tensor seen =
        slots.bias.defined() ? slots.bias.narrow(0, first, n).ne(kNoCandidate).nonzero().view({-1})
                             : at::Tensor();
    if (seen.defined() && seen.size(0) < n)
      target.zero_().index_copy_(0, seen,
                                 score(keys.index_select(0, seen), values.index_select(0, seen)));
    else
      target.copy_(score(keys, values));
  }
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
