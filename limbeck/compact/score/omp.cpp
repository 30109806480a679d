#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct OmpScorerOptions {
  std::string form = "literal";
  std::string pace = "1/1";
  double drop = -7.0;
  int64_t rows = 50000;
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, one_of({"gram", "literal"}),
      "the published loop, or the same picks from the Gram matrix");
    v("pace", pace, one_of({"1/1", "4/2", "progressive"}),
      "keys a step / steps between refits of the weights");
    v("drop", drop, any_number(), "log weight below which slots are dropped and banned");
    v("rows", rows, at_least(1), "most reference rows a KV head");
  }
};

/// Orthogonal matching pursuit on the attention mass with the max metric (arXiv 2602.16284).
/// The order of choice becomes the score, so that every allocator keeps a prefix of it.
class OmpScorer : public Scorer {
 public:
  explicit OmpScorer(OmpScorerOptions o) : options_(std::move(o)) {}
  /// Slots that the published loop drops at its end depend on where it ends.
  ScorerTraits traits() const override {
    return {.needs_queries = true,
            .budget = options_.form == "gram" ? BudgetUse::prefix : BudgetUse::all};
  }
  int64_t query_limit(int64_t) const override { return options_.rows; }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.fill_(kNoCandidate);
    const int64_t heads = in.slots->kv_heads();
    const bool tells = in.seen != nullptr && in.seen->empty() && options_.form == "literal";
    std::vector<HeadAttention> seen(tells ? heads : 0);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t n = in.slots->slots(h), limit = std::min(n, in.budgets[h]);
      if (limit < 1) continue;
      HeadProblem p = head_problem(in, h);
      // A product with all features takes longer, these being f32, than tiles for all of it.
      if (tells && in.slots->keys.scalar_type() == at::kBFloat16)
        p.outputs = head_attention(*in.slots, *in.queries, h).outputs;
      const std::vector<int32_t> order = select(std::move(p), limit, tells ? &seen[h] : nullptr);
      float* s = out.mutable_data_ptr<float>() + in.slots->offsets[h];
      for (size_t k = 0; k < order.size(); ++k) s[order[k]] = static_cast<float>(order.size() - k);
    }
    if (tells) *in.seen = std::move(seen);
  }

 private:
  /// `seen`: where to leave what the fit compares with, or null.
  std::vector<int32_t> select(HeadProblem p, int64_t limit, HeadAttention* seen) const {
    if (options_.form == "literal") {
      at::Tensor top;
      const at::Tensor features = max_features(p, &top);
      if (seen != nullptr && p.weights.min().item<float>() > 0)
        *seen = as_seen(targets_of_features(p, features, top));
      OmpOptions o;
      o.limit = limit;
      o.drop_cutoff = options_.drop;
      if (options_.pace == "4/2") o.pace = {{INT64_MAX, 4, 2}};
      if (options_.pace == "progressive") o.pace = {{300, 1, 1}, {1500, 2, 2}, {INT64_MAX, 4, 2}};
      return omp_select(features, o);
    }
    // The max metric is the softmax metric with rows weighted by M^2, M = 1 / max A.
    const Features f = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
    const at::Tensor m = f.a.amax(1, true).reciprocal();
    const at::Tensor phi = f.a.mul_(m * p.weights.unsqueeze(1).sqrt());
    // In f32 whatever precision is set around this.
    return gomp(joint_gram(phi, phi.narrow(1, 0, 0)).xx, limit);
  }

  OmpScorerOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_omp_scorer(const OptionTexts& options) {
  return std::make_unique<OmpScorer>(options_from_texts<OmpScorerOptions>("omp", options));
}
std::vector<FieldInfo> describe_omp_scorer() { return options_describe<OmpScorerOptions>(); }

}  // namespace limbeck
