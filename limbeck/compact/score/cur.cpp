#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct CurOptions {
  int64_t sinks = 4;
  int64_t window = 16;
  template <class V>
  void for_each_field(V&& v) {
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
    v("window", window, closed(1, 1 << 20), "neighbours that a token's norms are compared with");
  }
};

/// |k|^2 |v|^2, each as a share of its window: the published form of arXiv 2509.15038, which takes
/// row norms for leverage.
class CurScorer : public Scorer {
 public:
  explicit CurScorer(const CurOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::none, .sinks = options_.sinks};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    score_visible(*in.slots, out, [&](const at::Tensor& keys, const at::Tensor& values) {
      return head(keys, values);
    });
  }

 private:
  static constexpr double kTiny = 1e-30;  ///< all-zero windows give 0, not NaN

  at::Tensor head(const at::Tensor& keys, const at::Tensor& values) const {
    const at::Tensor both = shares(keys) * shares(values);
    return both / both.sum().clamp_min(kTiny);
  }

  /// Squared norms over the sum of their window; a short last window joins the one before.
  at::Tensor shares(const at::Tensor& x) const {
    const at::Tensor square = x.to(at::kFloat).square().sum(1);
    const int64_t n = square.size(0), w = options_.window, windows = std::max<int64_t>(1, n / w);
    const at::Tensor index = at::arange(n).div(w, "floor").clamp_max(windows - 1);
    const at::Tensor sums = at::zeros({windows}, at::kFloat).index_add(0, index, square);
    return square / sums.clamp_min(kTiny).index_select(0, index);
  }

  CurOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_cur_scorer(const OptionTexts& options) {
  return std::make_unique<CurScorer>(options_from_texts<CurOptions>("cur", options));
}
std::vector<FieldInfo> describe_cur_scorer() { return options_describe<CurOptions>(); }

}  // namespace limbeck
