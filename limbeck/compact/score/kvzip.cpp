#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

#include <limits>

namespace limbeck {
namespace {

struct KvzipOptions {
  std::string norm = "local";
  int64_t sinks = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("norm", norm, one_of({"local", "all"}),
      "the softmax covers the prefix, the chunk and the fed tokens (local, as published) or all "
      "slots that were "
      "there before (all)");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
  }
};

/// score_j = max over group heads and fed tokens i of softmax(s_i)_j (arXiv 2505.23416).
class KvzipScorer : public Scorer {
 public:
  explicit KvzipScorer(KvzipOptions o) : options_(std::move(o)) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::model,
            .needs_queries = true,
            .runs_in_pass = true,
            .sinks = options_.sinks,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    // A slot that no repeat covers is worth as little as one that none looks at.
    out.zero_();
    for (const QueryChunk& chunk : in.queries->chunks) observe(in, chunk, out);
  }

 private:
  /// Raises `best` [n], the highest attention so far, by what one repeat attends to.
  void observe(const ScoreInput& in, const QueryChunk& b, const at::Tensor& best) const {
    const LayerQueries one{in.layer, in.queries->scale, {b}};
    const int64_t heads = in.slots->kv_heads();
    // Which of the span's slots lie in the chunk; gathering keeps their order.
    const at::Tensor rows = in.slots->positions.ge(b.chunk.begin)
                                .logical_and(in.slots->positions.lt(b.chunk.end))
                                .nonzero()
                                .view({-1});
    const bool whole = rows.size(0) == in.slots->slots();
    const auto raise = [&](const at::Tensor& index, const at::Tensor& seen) {
      best.index_copy_(0, index, at::maximum(best.index_select(0, index), seen));
    };
    if (options_.norm == "local") {
      const LayerSegment chunk = whole ? *in.slots : cache_gather(*in.cache, in.layer, b.chunk);
      std::vector<HeadAttention> seen = layer_attention(chunk, one, mass_elsewhere(one, heads));
      for (int64_t h = 0; h < heads; ++h)
        if (chunk.slots(h) > 0)
          raise(rows.narrow(0, chunk.offsets[h], chunk.slots(h)), seen[h].coverage);
      if (whole && in.seen != nullptr && in.queries->chunks.size() == 1) *in.seen = std::move(seen);
      return;
    }
    // All that was there before the repeat, and nothing of the repeat itself.
    at::Tensor outside =
        at::full({b.queries.size(0), b.queries.size(1)}, -std::numeric_limits<float>::infinity());
    for (const PositionRange& r :
         {PositionRange{0, in.span.begin}, PositionRange{in.span.end, in.cache->logical_length()}})
      if (r.size() > 0)
        outside = at::logaddexp(outside, attention_over(cache_gather(*in.cache, in.layer, r),
                                                        b.queries.contiguous(), one.scale)
                                             .lse);
    const std::vector<HeadAttention> seen =
        layer_attention(*in.slots, one, outside.view({heads, -1}));
    at::Tensor all = at::zeros_like(best);
    for (int64_t h = 0; h < heads; ++h)
      if (in.slots->slots(h) > 0)
        all.narrow(0, in.slots->offsets[h], in.slots->slots(h)).copy_(seen[h].coverage);
    raise(rows, all.index_select(0, rows));
  }

  KvzipOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_kvzip_scorer(const OptionTexts& options) {
  return std::make_unique<KvzipScorer>(options_from_texts<KvzipOptions>("kvzip", options));
}
std::vector<FieldInfo> describe_kvzip_scorer() { return options_describe<KvzipOptions>(); }

}  // namespace limbeck
