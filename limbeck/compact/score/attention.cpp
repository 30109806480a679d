#include "limbeck/compact/fit/published_targets.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct AttentionOptions {
  std::string norm = "all";
  std::string reduce = "max";
  std::string pool = "none";
  int64_t sinks = 0;
  template <class V>
  void for_each_field(V&& v) {
    v("norm", norm, one_of({"all", "span"}),
      "max: the softmax covers all that the model attends to, or the span alone");
    v("reduce", reduce, one_of({"max", "mean", "rms"}), "over reference queries");
    v("pool", pool, one_of({"avg", "max", "none"}), "smooth scores over 7 neighbours");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

/// Attention of all reference queries i, reduced over i. With rms, over the span's slots alone,
/// this is the selector of AM-HAK (arXiv 2602.16284, section 3); with max the coverage of our
/// default: then a query counts by what it really gives a slot, its sinks included.
class AttentionScorer : public Scorer {
 public:
  explicit AttentionScorer(AttentionOptions o) : options_(std::move(o)) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::model,
            .needs_queries = true,
            .runs_in_pass = true,
            .sinks = options_.sinks,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const int64_t heads = in.slots->kv_heads();
    const auto store = [&](int64_t h, const at::Tensor& scores) {
      out.narrow(0, in.slots->offsets[h], in.slots->slots(h)).copy_(pooled(scores));
    };
    if (options_.reduce == "max") {
      const at::Tensor elsewhere =
          options_.norm == "all" ? mass_elsewhere(*in.queries, heads) : at::Tensor();
      std::vector<HeadAttention> seen = layer_attention(*in.slots, *in.queries, elsewhere);
      for (int64_t h = 0; h < heads; ++h)
        if (in.slots->slots(h) > 0) store(h, seen[h].coverage);
      if (in.seen != nullptr) *in.seen = std::move(seen);
      return;
    }
    const bool tells = in.seen != nullptr && options_.reduce == "rms";
    std::vector<HeadAttention> seen(tells ? heads : 0);
    parallel_tasks(heads, [&](int64_t h) {
      if (in.slots->slots(h) == 0) return;
      const HeadProblem p = head_problem(*in.slots, *in.queries, h);
      store(h, tells ? score_and_tell(p, seen[h]) : score_head(p));
    });
    if (tells) *in.seen = std::move(seen);
  }

 private:
  /// Weighted mean over rows, or root mean square, from one block of rows after another.
  class Reduction {
   public:
    Reduction(const HeadProblem& p, bool rms)
        : weights_(p.weights), sum_(at::zeros({p.keys.size(0)}, at::kDouble)), rms_(rms) {}
    void add(const at::Tensor& a, int64_t first) {
      const at::Tensor w = weights_.narrow(0, first, a.size(0));
      sum_ += at::mv((rms_ ? a.square() : a).t(), w);
      rows_ += w.sum().item<double>();
    }
    at::Tensor result() {
      sum_.div_(rows_);
      return (rms_ ? sum_.sqrt() : sum_).to(at::kFloat);
    }

   private:
    at::Tensor weights_, sum_;
    double rows_ = 0;
    bool rms_;
  };

  at::Tensor score_head(const HeadProblem& p) const {
    Reduction reduction(p, options_.reduce == "rms");
    for_each_row_block(p, [&](const at::Tensor& logits, int64_t first) {
      reduction.add(softmax_features(logits).a, first);
    });
    return reduction.result();
  }

  /// The same, with what the published fits will compare with: from the same softmax.
  at::Tensor score_and_tell(const HeadProblem& p, HeadAttention& seen) const {
    Reduction reduction(p, true);
    seen = as_seen(
        published_targets(p, [&](const at::Tensor& a, int64_t first) { reduction.add(a, first); }));
    return reduction.result();
  }

  at::Tensor pooled(const at::Tensor& s) const {
    if (options_.pool == "none") return s;
    const at::Tensor x = s.view({1, 1, -1});
    return (options_.pool == "avg" ? at::avg_pool1d(x, {7}, {1}, {3})
                                   : at::max_pool1d(x, {7}, {1}, {3}))
        .view({-1});
  }

  AttentionOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_attention_scorer(const OptionTexts& options) {
  return std::make_unique<AttentionScorer>(
      options_from_texts<AttentionOptions>("attention", options));
}
std::vector<FieldInfo> describe_attention_scorer() { return options_describe<AttentionOptions>(); }

}  // namespace limbeck
