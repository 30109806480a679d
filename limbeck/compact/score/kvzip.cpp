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

/// score_j = max over group heads and fed tokens i of exp(s_ij - lse_i) (arXiv 2505.23416). Keeps
/// the logarithm of the running maximum; the exponential comes last.
class KvzipScorer : public Scorer {
 public:
  explicit KvzipScorer(KvzipOptions o) : options_(std::move(o)) {}

  ScorerTraits traits() const override {
    return {.comparable = Comparable::model,
            .needs_queries = true,
            .runs_in_pass = true,
            .sinks = options_.sinks};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    at::Tensor best = at::full({in.slots->slots()}, kNoCandidate, at::kFloat);
    for (const QueryChunk& chunk : in.queries->chunks) observe(in, chunk, best);
    out.copy_(best.exp_());
  }

 private:
  /// Raises `best` [n], the log of the highest attention so far, by what one repeat attends to.
  void observe(const ScoreInput& in, const QueryChunk& b, at::Tensor& best_of_all) const {
    const double scale = in.queries->scale;
    // Which of the span's slots lie in the chunk; gathering keeps their order.
    const at::Tensor rows = in.slots->positions.ge(b.chunk.begin)
                                .logical_and(in.slots->positions.lt(b.chunk.end))
                                .nonzero()
                                .view({-1});
    const LayerSegment chunk = cache_gather(*in.cache, in.layer, b.chunk);
    const bool local = options_.norm == "local";
    const LayerSegment others = cache_gather(
        *in.cache, in.layer,
        local ? PositionRange{0, in.span.begin} : PositionRange{0, in.cache->logical_length()});
    const int64_t heads = chunk.kv_heads(), group = b.queries.size(0) / heads,
                  n = b.queries.size(1);
    for (int64_t h = 0; h < heads; ++h) {
      if (chunk.slots(h) == 0) continue;
      const at::Tensor q = b.queries.narrow(0, h * group, group)
                               .reshape({group * n, b.queries.size(2)})
                               .to(at::kFloat);
      at::Tensor best = at::full({chunk.slots(h)}, kNoCandidate, at::kFloat);
      constexpr int64_t kRows = 256;  // logits of a block of rows stay in the cache
      for (int64_t r = 0; r < group * n; r += kRows) {
        const int64_t m = std::min(kRows, group * n - r);
        const at::Tensor qr = q.narrow(0, r, m);
        const at::Tensor s = head_logits(qr, chunk, h, scale);
        at::Tensor lse = others.slots(h) > 0 ? at::logsumexp(head_logits(qr, others, h, scale), {1})
                                             : at::full({m}, kNoCandidate, at::kFloat);
        if (local) {
          lse = at::logaddexp(lse, at::logsumexp(s, {1}));
          lse = at::logaddexp(lse, fed_lse(qr, b.fed_keys[h], n, r, scale));
        }
        best = at::maximum(best, std::get<0>((s - lse.unsqueeze(1)).max(0)));
      }
      const at::Tensor index = rows.narrow(0, chunk.offsets[h], chunk.slots(h));
      best_of_all.index_copy_(0, index, at::maximum(best_of_all.index_select(0, index), best));
    }
  }

  static at::Tensor head_logits(const at::Tensor& q, const LayerSegment& s, int64_t h,
                                double scale) {
    const at::Tensor k = s.keys.narrow(0, s.offsets[h], s.slots(h)).to(at::kFloat);
    at::Tensor logits = at::mm(q, k.t()).mul_(scale);
    if (s.bias.defined()) logits += s.bias.narrow(0, s.offsets[h], s.slots(h));
    return logits;
  }

  /// Log mass of the fed rows that each of rows [first, first + q.size(0)) of the [group, n]
  /// queries sees.
  static at::Tensor fed_lse(const at::Tensor& q, const at::Tensor& fed, int64_t n, int64_t first,
                            double scale) {
    const int64_t m = fed.size(0), before = m - n;
    const at::Tensor own = at::arange(first, first + q.size(0)).remainder(n) + before;
    const at::Tensor hidden = at::arange(m).unsqueeze(0) > own.unsqueeze(1);
    const at::Tensor logits = at::mm(q, fed.to(at::kFloat).t()).mul_(scale);
    return at::logsumexp(logits.masked_fill_(hidden, -std::numeric_limits<float>::infinity()), {1});
  }

  KvzipOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_kvzip_scorer(const OptionTexts& options) {
  return std::make_unique<KvzipScorer>(options_from_texts<KvzipOptions>("kvzip", options));
}
std::vector<FieldInfo> describe_kvzip_scorer() { return options_describe<KvzipOptions>(); }

}  // namespace limbeck
