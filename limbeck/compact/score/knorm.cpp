#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct KnormOptions {
  int64_t recent = 64;
  int64_t skip_layers = 0;
  template <class V>
  void for_each_field(V&& v) {
    v("recent", recent, closed(0, 1 << 20), "last slots of the span that are always kept");
    v("skip_layers", skip_layers, closed(0, 1 << 10),
      "first full layers that keep everything, beyond the budget; the report counts them");
  }
};

/// score = -|k|: attention sinks and much-read keys are short (arXiv 2406.11430).
class KnormScorer : public Scorer {
 public:
  explicit KnormScorer(const KnormOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::none,
            .recent = options_.recent,
            .whole_layers = options_.skip_layers};
  }
  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.copy_(in.slots->keys.to(at::kFloat).norm(2, {1}).neg());
  }

 private:
  KnormOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_knorm_scorer(const OptionTexts& options) {
  return std::make_unique<KnormScorer>(options_from_texts<KnormOptions>("knorm", options));
}
std::vector<FieldInfo> describe_knorm_scorer() { return options_describe<KnormOptions>(); }

}  // namespace limbeck
