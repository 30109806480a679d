#include "limbeck/compact/score/own_attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct H2oOptions {
  std::string form = "mean";
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, one_of({"mean", "running", "sum"}),
      "over the tokens that see a slot; sum favours old slots; running, as published, goes on from "
      "the sums of the contest before and always keeps the newer half");
  }
};

/// Attention that a slot got from all tokens behind it, mean over the group: heavy hitters (arXiv
/// 2306.14048), divided by the number of these tokens; or summed up over a sequence that grows.
class H2oScorer : public Scorer {
 public:
  explicit H2oScorer(H2oOptions o) : options_(std::move(o)) {}

  ScorerTraits traits() const override {
    ScorerTraits t{.comparable = Comparable::layer, .own_rows = kAllRows};
    if (!running()) {
      t.budget = BudgetUse::none;
    } else {
      t.carries = kSums;
      t.recent = kRecentHalf;
    }
    return t;
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    std::vector<at::Tensor> sums;
    if (in.own != nullptr || !running()) sums = layer_attention_sums(in, kAllRows);
    if (sums.empty()) out.zero_();  // nothing new since the contest before
    for (int64_t h = 0; h < in.slots->kv_heads() && !sums.empty(); ++h)
      out.narrow(0, in.slots->offsets[h], in.slots->slots(h)).copy_(sums[h].mean(0));
    if (options_.form == "mean") out.div_(in.span.end - in.slots->positions);
    if (!running()) return;
    // Rows of earlier contests have been counted; what they saw of dropped slots is gone.
    if (const auto old = in.slots->extras.find(std::string(kSums)); old != in.slots->extras.end())
      out.add_(old->second);
    if (in.carried != nullptr) *in.carried = out.clone();
  }

 private:
  static constexpr std::string_view kSums = "h2o";
  bool running() const { return options_.form == "running"; }

  H2oOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_h2o_scorer(const OptionTexts& options) {
  return std::make_unique<H2oScorer>(options_from_texts<H2oOptions>("h2o", options));
}
std::vector<FieldInfo> describe_h2o_scorer() { return options_describe<H2oOptions>(); }

}  // namespace limbeck
