#include "limbeck/compact/score/scorer.h"

#include "limbeck/base/error.h"
#include "limbeck/model/precision.h"

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
    return {.comparable = Comparable::model, .needs_queries = true, .sinks = options_.sinks};
  }

  void begin(const KvCache& cache, PositionRange span) override {
    span_ = span;
    length_ = cache.logical_length();
    layers_.assign(cache.shape().layer_count(), {});
  }

  void on_queries(const KvCache& cache, const QueryBlock& b) override {
    Layer& layer = layers_[b.layer];
    if (!layer.positions.defined()) {
      const LayerSegment slots = cache_gather(cache, b.layer, span_);
      layer.positions = slots.positions;
      layer.best = at::full({slots.slots()}, -std::numeric_limits<float>::infinity(), at::kFloat);
    }
    // Which of the span's slots lie in the chunk; gathering keeps their order.
    const at::Tensor rows = layer.positions.ge(b.chunk.begin)
                                .logical_and(layer.positions.lt(b.chunk.end))
                                .nonzero()
                                .view({-1});
    const LayerSegment chunk = cache_gather(cache, b.layer, b.chunk);
    const bool local = options_.norm == "local";
    const LayerSegment others = cache_gather(
        cache, b.layer, local ? PositionRange{0, span_.begin} : PositionRange{0, length_});
    const int64_t heads = chunk.kv_heads(), group = b.queries.size(0) / heads,
                  n = b.queries.size(1);
    std::optional<MediumPrecision> products;  // bf16 operands stay exact, sums are f32
    if (chunk.keys.scalar_type() == at::kBFloat16) products.emplace();
    for (int64_t h = 0; h < heads; ++h) {
      if (chunk.slots(h) == 0) continue;
      const at::Tensor q = b.queries.narrow(0, h * group, group)
                               .reshape({group * n, b.queries.size(2)})
                               .to(at::kFloat);
      at::Tensor best = at::empty({chunk.slots(h)}, at::kFloat);
      best.fill_(-std::numeric_limits<float>::infinity());
      constexpr int64_t kRows = 256;  // logits of a block of rows stay in the cache
      for (int64_t r = 0; r < group * n; r += kRows) {
        const int64_t m = std::min(kRows, group * n - r);
        const at::Tensor qr = q.narrow(0, r, m);
        const at::Tensor s = head_logits(qr, chunk, h, b.scale);
        at::Tensor lse = others.slots(h) > 0
                             ? at::logsumexp(head_logits(qr, others, h, b.scale), {1})
                             : at::full({m}, -std::numeric_limits<float>::infinity(), at::kFloat);
        if (local) {
          lse = at::logaddexp(lse, at::logsumexp(s, {1}));
          lse = at::logaddexp(lse, fed_lse(qr, b.fed_keys[h], n, r, b.scale));
        }
        best = at::maximum(best, std::get<0>((s - lse.unsqueeze(1)).max(0)));
      }
      const at::Tensor index = rows.narrow(0, chunk.offsets[h], chunk.slots(h));
      layer.best.index_copy_(0, index, at::maximum(layer.best.index_select(0, index), best));
    }
  }

  void score(const ScoreInput& in, const at::Tensor& out) override {
    const Layer& layer = layers_[in.layer];
    LIMBECK_CHECK(layer.best.defined() && layer.best.size(0) == in.slots->slots(),
                  "no queries for layer {}", in.layer);
    out.copy_(layer.best.exp());
  }

 private:
  struct Layer {
    at::Tensor positions;  ///< [n] of the span's slots
    at::Tensor best;       ///< [n] log of the highest attention so far
  };

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
  PositionRange span_;
  int64_t length_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Scorer> make_kvzip_scorer(const OptionTexts& options) {
  return std::make_unique<KvzipScorer>(options_from_texts<KvzipOptions>("kvzip", options));
}
std::vector<FieldInfo> describe_kvzip_scorer() { return options_describe<KvzipOptions>(); }

}  // namespace limbeck
