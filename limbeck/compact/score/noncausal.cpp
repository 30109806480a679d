#include "limbeck/compact/score/noncausal.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/leverage.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct NoncausalOptions {
  int64_t block = 256;
  int64_t recent = 4;
  int64_t sinks = 8;
  template <class V>
  void for_each_field(V&& v) {
    v("block", block, closed(1, 1 << 14), "neighbours that attend to each other");
    v("recent", recent, closed(0, 1 << 20), "last slots of the span that are always kept");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

class NoncausalScorer : public Scorer {
 public:
  explicit NoncausalScorer(const NoncausalOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::layer,
            .own_rows = kAllRows,
            .sinks = options_.sinks,
            .recent = options_.recent,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.zero_();
    parallel_tasks(in.slots->kv_heads(), [&](int64_t h) {
      const at::Tensor open = open_slots(in, h);
      out.index_copy_(0, open + in.slots->offsets[h],
                      head_block_attention(in, h, open, options_.block));
    });
  }

 private:
  NoncausalOptions options_;
};

}  // namespace

at::Tensor block_attention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& bias, int64_t block) {
  const int64_t n = keys.size(0), group = queries.size(0), dim = keys.size(1);
  at::Tensor out = at::zeros({n}, at::kFloat);
  for (int64_t i = 0; i < n; i += block) {
    const int64_t m = std::min(block, n - i);
    const at::Tensor q = queries.narrow(1, i, m).to(at::kFloat).reshape({group * m, dim});
    at::Tensor logits = at::mm(q, keys.narrow(0, i, m).to(at::kFloat).t());
    if (bias.defined()) logits += bias.narrow(0, i, m);
    out.narrow(0, i, m).copy_(at::softmax(logits, 1).sum(0));
  }
  return out;
}

at::Tensor block_attention_plain(const at::Tensor& queries, const at::Tensor& keys,
                                 const at::Tensor& bias, int64_t block) {
  const int64_t n = keys.size(0);
  at::Tensor out = at::zeros({n}, at::kDouble);
  for (int64_t g = 0; g < queries.size(0); ++g)
    for (int64_t i = 0; i < n; ++i) {
      const int64_t begin = i / block * block, m = std::min(block, n - begin);
      at::Tensor s =
          at::mv(keys.narrow(0, begin, m).to(at::kDouble), queries[g][i].to(at::kDouble));
      if (bias.defined()) s = s + bias.narrow(0, begin, m).to(at::kDouble);
      const at::Tensor e = (s - s.max()).exp();
      out.narrow(0, begin, m).add_(e / e.sum());
    }
  return out.to(at::kFloat);
}

at::Tensor head_block_attention(const ScoreInput& in, int64_t h, const at::Tensor& open,
                                int64_t block) {
  LIMBECK_CHECK(in.own != nullptr, "a scorer of own queries was given none");
  const int64_t first = in.slots->offsets[h],
                group = in.own->queries.size(0) / in.slots->kv_heads();
  const at::Tensor slots = open + first;
  const at::Tensor rows = in.slots->positions.index_select(0, slots).to(at::kLong) - in.own->first;
  return block_attention(
      in.own->queries.narrow(0, h * group, group).index_select(1, rows),
      in.slots->keys.index_select(0, slots),
      in.slots->bias.defined() ? in.slots->bias.index_select(0, slots) : at::Tensor(), block);
}

std::unique_ptr<Scorer> make_noncausal_scorer(const OptionTexts& options) {
  return std::make_unique<NoncausalScorer>(
      options_from_texts<NoncausalOptions>("noncausal", options));
}
std::vector<FieldInfo> describe_noncausal_scorer() { return options_describe<NoncausalOptions>(); }

}  // namespace limbeck
