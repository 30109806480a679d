#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct StreamingOptions {
  std::string order = "newest";
  int64_t sinks = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("order", order, one_of({"newest", "oldest"}), "which tokens rank first");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

/// Sinks are protected; the rest is ranked by position, so the newest slots fill the budget.
class StreamingScorer : public Scorer {
 public:
  explicit StreamingScorer(const StreamingOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::none, .sinks = options_.sinks};
  }
  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.copy_(in.slots->positions);
    if (options_.order == "oldest") out.neg_();
  }

 private:
  StreamingOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_streaming_scorer(const OptionTexts& options) {
  return std::make_unique<StreamingScorer>(
      options_from_texts<StreamingOptions>("streaming", options));
}
std::vector<FieldInfo> describe_streaming_scorer() { return options_describe<StreamingOptions>(); }

}  // namespace limbeck
