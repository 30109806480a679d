#include "limbeck/compact/score/own_attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct SnapkvOptions {
  int64_t pool = 5;
  std::string pooling = "mean";
  int64_t window = 64;
  template <class V>
  void for_each_field(V&& v) {
    v("pool", pool, closed(1, 255), "neighbours that a score is smoothed over, an odd number");
    v("pooling", pooling, one_of({"max", "mean"}), "how; max pools each query head by itself");
    v("window", window, closed(1, 1 << 16), "last tokens of the span: they look, and are kept");
  }
};

struct FinchOptions {
  int64_t window = 64;
  template <class V>
  void for_each_field(V&& v) {
    v("window", window, closed(1, 1 << 16),
      "last tokens of the span that are the question: they look, and are kept");
  }
};

/// Mean attention of the last tokens of the span to those before them. Two published forms:
/// smoothed over neighbours (SnapKV, arXiv 2404.14469), and rows weighted by the number of keys
/// that they see (FINCH, TACL 2024), where the window is the question.
class WindowScorer : public Scorer {
 public:
  WindowScorer(SnapkvOptions o, bool weighted) : options_(std::move(o)), weighted_(weighted) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::model,
            .own_rows = options_.window,
            .query_dependent = true,
            .recent = options_.window,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    // A small budget protects fewer of the last tokens; then no more than these look.
    const int64_t w = std::min({options_.window, std::max<int64_t>(in.recent, 1), in.own->rows()});
    const std::vector<at::Tensor> sums = layer_attention_sums(in, w, weighted_);
    for (int64_t h = 0; h < in.slots->kv_heads(); ++h) {
      const int64_t first = in.slots->offsets[h], n = in.slots->slots(h);
      if (n == 0) continue;
      const at::Tensor positions = in.slots->positions.narrow(0, first, n);
      const at::Tensor old = (positions < in.span.end - w).nonzero().view({-1});
      at::Tensor scores = at::zeros({n}, at::kFloat);
      if (old.numel() > 0) {
        const at::Tensor pooled = pool(sums[h].index_select(1, old) / static_cast<double>(w));
        scores.fill_(pooled.max() + 1.0);  // the window is above everything
        scores.index_copy_(0, old, pooled);
      }
      out.narrow(0, first, n).copy_(scores);
    }
  }

 private:
  /// [G, T] to [T]; the zeros beyond the ends count in the mean.
  at::Tensor pool(const at::Tensor& x) const {
    const int64_t k = options_.pool;
    if (options_.pooling == "max")
      return at::max_pool1d(x.unsqueeze(1), {k}, {1}, {k / 2}).squeeze(1).mean(0);
    return at::avg_pool1d(x.mean(0).view({1, 1, -1}), {k}, {1}, {k / 2}).view({-1});
  }

  SnapkvOptions options_;
  bool weighted_;
};

}  // namespace

std::unique_ptr<Scorer> make_snapkv_scorer(const OptionTexts& options) {
  auto o = options_from_texts<SnapkvOptions>("snapkv", options);
  if (o.pool % 2 == 0) throw InvalidArgument("[snapkv] pool must be odd; found {}", o.pool);
  return std::make_unique<WindowScorer>(std::move(o), false);
}
std::unique_ptr<Scorer> make_finch_scorer(const OptionTexts& options) {
  const auto o = options_from_texts<FinchOptions>("finch", options);
  return std::make_unique<WindowScorer>(SnapkvOptions{1, "mean", o.window}, true);
}
std::vector<FieldInfo> describe_snapkv_scorer() { return options_describe<SnapkvOptions>(); }
std::vector<FieldInfo> describe_finch_scorer() { return options_describe<FinchOptions>(); }

}  // namespace limbeck
