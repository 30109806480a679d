#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct LagkvOptions {
  bool cross = false;
  int64_t lag = 128;
  int64_t sinks = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("cross", cross, yes_or_no(), "compare scores across chunks instead of ranking within each");
    v("lag", lag, closed(2, 1 << 20), "tokens of a chunk");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

/// How unevenly a token's channels lie in the range that the next chunk has: standard deviation
/// over channels, softmax over the chunk (arXiv 2504.04704). The last full chunk and what follows
/// have no reference and score 1.
class LagkvScorer : public Scorer {
 public:
  explicit LagkvScorer(const LagkvOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::none, .sinks = options_.sinks};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    score_visible(*in.slots, out, [&](const at::Tensor& keys, const at::Tensor& values) {
      return head(keys, values);
    });
  }

 private:
  at::Tensor head(const at::Tensor& keys, const at::Tensor& values) const {
    const int64_t n = keys.size(0), lag = options_.lag, sinks = std::min(options_.sinks, n);
    at::Tensor out = at::ones({n}, at::kFloat);
    const int64_t full = (n - sinks) / lag;
    if (full < 2) {  // nothing to compare with: the newest first
      const int64_t rest = n - sinks;
      if (rest > 0)
        out.narrow(0, sinks, rest).copy_(at::arange(rest, at::kFloat) / static_cast<double>(rest));
      return out;
    }
    const auto chunks = [&](const at::Tensor& x) {
      return x.narrow(0, sinks, full * lag).to(at::kFloat).view({full, lag, -1});
    };
    at::Tensor scores = (unevenness(chunks(keys)) + unevenness(chunks(values))) / 2.0;
    // Equal scores rank by position, the later one higher.
    if (!options_.cross)
      scores = scores.argsort(/*stable=*/true, 1).argsort(/*stable=*/true, 1).to(at::kFloat) /
               static_cast<double>(lag);
    out.narrow(0, sinks, (full - 1) * lag).copy_(scores.view({-1}));
    return out;
  }

  /// [chunks, lag, D] to [chunks - 1, lag].
  static at::Tensor unevenness(const at::Tensor& x) {
    const at::Tensor next = x.narrow(0, 1, x.size(0) - 1);
    const at::Tensor low = next.amin({1}, true), high = next.amax({1}, true);
    const at::Tensor y = (x.narrow(0, 0, x.size(0) - 1) - low) / (high - low).clamp_min(1e-6);
    return at::softmax(y.std(2, /*unbiased=*/true), 1);
  }

  LagkvOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_lagkv_scorer(const OptionTexts& options) {
  return std::make_unique<LagkvScorer>(options_from_texts<LagkvOptions>("lagkv", options));
}
std::vector<FieldInfo> describe_lagkv_scorer() { return options_describe<LagkvOptions>(); }

}  // namespace limbeck
