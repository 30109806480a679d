#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/leverage.h"
#include "limbeck/compact/score/noncausal.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct CompactorOptions {
  double blend = 0.3;
  int64_t block = 256;
  int64_t leverage_chunk = 0;
  int64_t pool = 1;
  int64_t recent = 4;
  bool removed_blend = false;
  double ridge = 1e-5;
  int64_t sinks = 8;
  int64_t sketch = 0;
  bool value_norm = false;
  template <class V>
  void for_each_field(V&& v) {
    v("blend", blend, closed(0.0, 100.0), "weight of leverage beside attention");
    v("block", block, closed(1, 1 << 14), "neighbours that attend to each other");
    v("leverage_chunk", leverage_chunk, closed(0, 1 << 24),
      "slots that compete by leverage; 0 = the whole span");
    v("pool", pool, closed(1, 255), "neighbours that attention is averaged over, an odd number");
    v("recent", recent, closed(0, 1 << 20), "last slots of the span that are always kept");
    v("removed_blend", removed_blend, yes_or_no(),
      "weigh leverage by the part of the slots that is removed, instead of by blend (kvpress)");
    v("ridge", ridge, open_closed(0.0, 1.0), "ridge relative to the mean eigenvalue of the Gram");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
    v("sketch", sketch, closed(0, 1 << 12), "project keys to so many dimensions; 0 = exact");
    v("value_norm", value_norm, yes_or_no(), "multiply attention by |v|");
  }
};

/// z(attention inside blocks) + blend z(leverage), each z over all heads of the layer (arXiv
/// 2507.08143). Neither questions nor trained weights. What is kept already takes no part: sinks
/// have so much leverage that they would bend the means.
class CompactorScorer : public Scorer {
 public:
  explicit CompactorScorer(const CompactorOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::layer,
            .own_rows = kAllRows,
            .sinks = options_.sinks,
            .recent = options_.recent,
            .budget = options_.removed_blend ? BudgetUse::all : BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const int64_t heads = in.slots->kv_heads();
    std::vector<at::Tensor> index(heads), attention(heads), leverage(heads);
    const KeysBeforeRope keys(in);
    parallel_tasks(heads, [&](int64_t h) {
      const at::Tensor open = open_slots(in, h);
      index[h] = open + in.slots->offsets[h];
      attention[h] = smooth(head_block_attention(in, h, open, options_.block), in, index[h]);
      leverage[h] = leverage_scores(keys.rows(h, open), slot_weights(in, h, open),
                                    {options_.ridge, options_.leverage_chunk, options_.sketch});
    });
    out.zero_();
    const at::Tensor all = at::cat(index);
    if (all.numel() == 0) return;
    const double blend = options_.removed_blend ? removed(in) : options_.blend;
    out.index_copy_(0, all, zscore(at::cat(attention)) + zscore(at::cat(leverage)) * blend);
  }

 private:
  at::Tensor smooth(at::Tensor a, const ScoreInput& in, const at::Tensor& slots) const {
    if (options_.value_norm)
      a = a * in.slots->values.index_select(0, slots).to(at::kFloat).norm(2, {1});
    if (options_.pool == 1 || a.numel() == 0) return a;
    const int64_t k = options_.pool;
    return at::avg_pool1d(a.view({1, 1, -1}), {k}, {1}, {k / 2}).view({-1});
  }

  static at::Tensor zscore(const at::Tensor& x) {
    const at::Tensor d = x.to(at::kDouble);
    return ((d - d.mean()) / d.std(/*unbiased=*/false).clamp_min(1e-6)).to(at::kFloat);
  }

  static double removed(const ScoreInput& in) {
    double kept = 0;
    for (const int64_t b : in.budgets) kept += static_cast<double>(b);
    return std::max(0.0, 1.0 - kept / static_cast<double>(in.slots->slots()));
  }

  CompactorOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_compactor_scorer(const OptionTexts& options) {
  const auto o = options_from_texts<CompactorOptions>("compactor", options);
  if (o.pool % 2 == 0) throw InvalidArgument("[compactor] pool must be odd; found {}", o.pool);
  return std::make_unique<CompactorScorer>(o);
}
std::vector<FieldInfo> describe_compactor_scorer() { return options_describe<CompactorOptions>(); }

}  // namespace limbeck
