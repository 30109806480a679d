#include "limbeck/compact/fit/wpc.h"
#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/hull.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

struct WpcScorerOptions {
  double lam = 0.3;
  double reach = 4.0;
  std::string gram = "auto";
  int64_t floor = 4;
  int64_t dense = 2048;
  template <class V>
  void for_each_field(V&& v) {
    v("lam", lam, closed(0.0, 100.0), "weight of the mass against the rms of the values");
    v("reach", reach, closed(1.0, 1000.0),
      "slots ordered beyond the forced ones, in mean budgets of a head");
    v("gram", gram, one_of({"auto", "full", "sketch"}),
      "whole Gram matrix, or a sketch of it and then a pool");
    v("floor", floor, closed(0, 1 << 20), "slots that every head keeps first");
    v("dense", dense, at_least(1), "auto: slots of a head up to which the Gram matrix is whole");
  }
};

/// Weighted pivoted Cholesky (attention-matching spec, 4.2, 4.3 and 4.5, step 2). Scores are the
/// marginal gains of the hull of each head's error curve times the head's weight: one ranking over
/// all heads is then water-filling, and a ranking within a head keeps a prefix of the order.
class WpcScorer : public Scorer {
 public:
  explicit WpcScorer(WpcScorerOptions o) : options_(std::move(o)) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::model, .needs_queries = true};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.fill_(kNoCandidate);
    const int64_t heads = in.slots->kv_heads();
    const int64_t mean = std::max<int64_t>(
        1, std::accumulate(in.budgets.begin(), in.budgets.end(), int64_t{0}) / heads);
    for (int64_t h = 0; h < heads; ++h) {
      if (in.slots->slots(h) == 0) continue;
      const double weight = in.head_weights.empty() ? 1.0 : in.head_weights[h];
      rank(in, h, order(in, h, mean), weight, out.mutable_data_ptr<float>() + in.slots->offsets[h]);
    }
  }

 private:
  WpcOrder order(const ScoreInput& in, int64_t h, int64_t mean) const {
    const HeadProblem p = head_problem(in, h);
    const int64_t size = p.keys.size(0);
    WpcOptions o;
    o.forced = forced_pivots(in, h);
    const auto forced = static_cast<int64_t>(o.forced.size());
    o.limit =
        std::min(size, forced + static_cast<int64_t>(options_.reach * static_cast<double>(mean)));
    const int64_t t = std::max(mean, forced);
    const bool sketch =
        options_.gram == "sketch" || (options_.gram == "auto" && size > options_.dense);
    if (!sketch || 8 * t >= size) {
      const auto gram = dense_gram(attention_gram(p));
      return wpc(*gram, wpc_targets(*gram, p.values, options_.lam), o);
    }
    return order_on_pool(p, o, t, in.seed + static_cast<uint64_t>(in.layer * 1000 + h));
  }

  /// A sketch chooses the pool, exact features of the pool decide.
  WpcOrder order_on_pool(const HeadProblem& p, const WpcOptions& o, int64_t t,
                         uint64_t seed) const {
    const auto rough = factored_gram(count_sketch(p, 4 * t, seed));
    WpcOptions choose = o;
    choose.limit = std::min(p.keys.size(0), 3 * t);
    std::vector<int32_t> pool =
        wpc(*rough, wpc_targets(*rough, p.values, options_.lam), choose).order;
    std::vector<uint8_t> in_pool(p.keys.size(0), 0);
    for (int32_t slot : pool) in_pool[slot] = 1;
    for (int32_t slot : o.forced)
      if (in_pool[slot] == 0) pool.push_back(slot);
    std::sort(pool.begin(), pool.end());
    std::vector<int32_t> place(p.keys.size(0), -1);
    for (size_t i = 0; i < pool.size(); ++i) place[pool[i]] = static_cast<int32_t>(i);

    const at::Tensor index = at::tensor(std::vector<int64_t>(pool.begin(), pool.end()), at::kLong);
    const Features f = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
    const at::Tensor a = f.a.index_select(1, index);
    const WpcTargets targets = wpc_targets(a, at::mm(f.a, p.values), p.weights, options_.lam);
    const at::Tensor weighted = a.mul(p.weights.sqrt().unsqueeze(1));
    const auto gram = dense_gram(at::mm(weighted.t(), weighted));
    WpcOptions exact = o;
    for (int32_t& slot : exact.forced) slot = place[slot];
    exact.limit = std::min(o.limit, static_cast<int64_t>(pool.size()));
    WpcOrder out = wpc(*gram, targets, exact);
    for (int32_t& slot : out.order) slot = pool[slot];
    return out;
  }

  /// Slots that are taken already, those with the highest earlier scores first.
  static std::vector<int32_t> forced_pivots(const ScoreInput& in, int64_t h) {
    std::vector<int32_t> out;
    const int64_t first = in.slots->offsets[h];
    for (int64_t i = first; i < in.slots->offsets[h + 1]; ++i)
      if (in.forced[i] != 0) out.push_back(static_cast<int32_t>(i - first));
    if (!in.earlier.empty())
      std::stable_sort(out.begin(), out.end(), [&](int32_t a, int32_t b) {
        return in.earlier[first + a] > in.earlier[first + b];
      });
    return out;
  }

  void rank(const ScoreInput& in, int64_t h, const WpcOrder& order, double weight,
            float* scores) const {
    const int64_t first = in.slots->offsets[h];
    int64_t kept = 0;
    for (int64_t i = first; i < in.slots->offsets[h + 1]; ++i) kept += in.forced[i] != 0 ? 1 : 0;
    const std::vector<double> gains =
        hull_gains(std::span(order.energy).subspan(static_cast<size_t>(order.forced)));
    float last = std::numeric_limits<float>::max();
    for (size_t k = 0; k < gains.size(); ++k, ++kept) {
      // Falling strictly, so that equal gains cannot be chosen out of order.
      float s = static_cast<float>(std::max(weight * gains[k], 0.0));
      if (kept < options_.floor)
        s = 1e30F * (1.0F - static_cast<float>(kept) / static_cast<float>(options_.floor + 1));
      last = s < last ? s : std::nextafter(last, -1.0F);
      scores[order.order[static_cast<size_t>(order.forced) + k]] = last;
    }
  }

  WpcScorerOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_wpc_scorer(const OptionTexts& options) {
  return std::make_unique<WpcScorer>(options_from_texts<WpcScorerOptions>("wpc", options));
}
std::vector<FieldInfo> describe_wpc_scorer() { return options_describe<WpcScorerOptions>(); }

}  // namespace limbeck
