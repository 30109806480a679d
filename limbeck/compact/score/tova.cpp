#include "limbeck/compact/score/own_attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct TovaOptions {
  template <class V>
  void for_each_field(V&&) {}
};

/// Attention of the last token, mean over all query heads: every KV head of a layer gets the same
/// scores (arXiv 2401.06104). A slot that a head no longer has counts as 0 there.
class TovaScorer : public Scorer {
 public:
  ScorerTraits traits() const override {
    return {.comparable = Comparable::model, .own_rows = 1, .query_dependent = true, .recent = 1};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const std::vector<at::Tensor> sums = layer_attention_sums(in, 1);
    const LayerSegment& s = *in.slots;
    const at::Tensor index = (s.positions - in.span.begin).to(at::kLong);
    at::Tensor mean = at::zeros({in.span.size()}, at::kFloat);
    for (int64_t h = 0; h < s.kv_heads(); ++h)
      mean.index_add_(0, index.narrow(0, s.offsets[h], s.slots(h)), sums[h].sum(0));
    mean /= static_cast<double>(in.own->queries.size(0));
    out.copy_(mean.index_select(0, index));
  }
};

}  // namespace

std::unique_ptr<Scorer> make_tova_scorer(const OptionTexts& options) {
  options_from_texts<TovaOptions>("tova", options);
  return std::make_unique<TovaScorer>();
}
std::vector<FieldInfo> describe_tova_scorer() { return options_describe<TovaOptions>(); }

}  // namespace limbeck
