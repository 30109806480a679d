#include "limbeck/compact/score/own_attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct SageOptions {
  int64_t recent = 64;
  int64_t sinks = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("recent", recent, closed(0, 1 << 20), "last slots of the span that are always kept");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

/// Attention of the last token, mean over the query heads of each KV head (arXiv 2503.08879).
class SageScorer : public Scorer {
 public:
  explicit SageScorer(const SageOptions& o) : options_(o) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::model,
            .own_rows = 1,
            .query_dependent = true,
            .sinks = options_.sinks,
            .recent = options_.recent,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const std::vector<at::Tensor> sums = layer_attention_sums(in, 1);
    for (int64_t h = 0; h < in.slots->kv_heads(); ++h)
      out.narrow(0, in.slots->offsets[h], in.slots->slots(h)).copy_(sums[h].mean(0));
  }

 private:
  SageOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_sage_scorer(const OptionTexts& options) {
  return std::make_unique<SageScorer>(options_from_texts<SageOptions>("sage", options));
}
std::vector<FieldInfo> describe_sage_scorer() { return options_describe<SageOptions>(); }

}  // namespace limbeck
