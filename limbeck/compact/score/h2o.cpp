#include "limbeck/compact/score/own_attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct H2oOptions {
  std::string form = "mean";
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, one_of({"mean", "sum"}),
      "over the tokens that see a slot; sum, as published, favours old slots");
  }
};

/// Attention that a slot got from all tokens behind it, mean over the group: heavy hitters (arXiv
/// 2306.14048), divided by the number of these tokens.
class H2oScorer : public Scorer {
 public:
  explicit H2oScorer(H2oOptions o) : options_(std::move(o)) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::layer, .own_rows = kAllRows};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const std::vector<at::Tensor> sums = layer_attention_sums(in, kAllRows);
    for (int64_t h = 0; h < in.slots->kv_heads(); ++h)
      out.narrow(0, in.slots->offsets[h], in.slots->slots(h)).copy_(sums[h].mean(0));
    if (options_.form == "mean") out.div_(in.span.end - in.slots->positions);
  }

 private:
  H2oOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_h2o_scorer(const OptionTexts& options) {
  return std::make_unique<H2oScorer>(options_from_texts<H2oOptions>("h2o", options));
}
std::vector<FieldInfo> describe_h2o_scorer() { return options_describe<H2oOptions>(); }

}  // namespace limbeck
