#include "limbeck/base/error.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/compact/score/moments.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

#include <cmath>

namespace limbeck {
namespace {

struct ExpectedOptions {
  double epsilon = 0.0;
  int64_t future = 512;
  int64_t sinks = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("epsilon", epsilon, closed(0.0, 1.0), "added to the attention before it meets |v|");
    v("future", future, closed(1, 1 << 20), "positions to come that queries are averaged over");
    v("sinks", sinks, closed(0, 1 << 20),
      "first slots of the span that are always kept and not learnt from");
  }
};

/// Turns pairs (j, j + D/2) of the last dimension by angles of the given cos and sin.
at::Tensor turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto half = x.chunk(2, -1);
  return at::cat({half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin}, -1);
}

/// The mean of rotations over positions first .. first + n - 1, as cos and sin [D / 2] f64: a
/// geometric sum, D cos(p theta) and D sin(p theta) about the middle position p.
std::pair<at::Tensor, at::Tensor> mean_rotation(const at::Tensor& frequencies, int64_t first,
                                                int64_t n) {
  const auto count = static_cast<double>(n);
  const double middle = static_cast<double>(first) + (count - 1.0) / 2.0;
  const at::Tensor half = frequencies / 2.0;
  const at::Tensor damping = at::where(half.sin().abs() < 1e-12, at::ones_like(half),
                                       (half * count).sin() / (half.sin() * count));
  return {damping * (frequencies * middle).cos(), damping * (frequencies * middle).sin()};
}

/// Attention that queries to come are expected to give, if they are normal with the moments of the
/// text's own queries before RoPE: exp(s q.k + s^2 k' S k / 2) with mean q and covariance S, times
/// |v| (arXiv 2510.00636).
class ExpectedScorer : public Scorer {
 public:
  explicit ExpectedScorer(const ExpectedOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::layer,
            .own_rows = kAllRows,
            .sinks = options_.sinks,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    LIMBECK_CHECK(in.own != nullptr, "a scorer of own queries was given none");
    const LayerSegment& s = *in.slots;
    const int64_t heads = s.kv_heads(), group = in.own->queries.size(0) / heads;
    const at::Tensor sink = s.positions < in.span.begin + options_.sinks;
    parallel_tasks(heads, [&](int64_t h) {
      if (s.slots(h) == 0) return;
      const auto rows = [&](const at::Tensor& x) { return x.narrow(0, s.offsets[h], s.slots(h)); };
      at::Tensor mean = at::zeros({s.slots(h)}, at::kDouble);
      for (int64_t g = 0; g < group; ++g) {
        at::Tensor logits = expected_logits(in, h * group + g, rows(s.keys));
        if (s.bias.defined()) logits += rows(s.bias);
        logits.masked_fill_(rows(sink), kNoCandidate);
        mean += at::softmax(logits, 0).nan_to_num(0.0) / static_cast<double>(group);
      }
      rows(out).copy_((mean + options_.epsilon) * rows(s.values).to(at::kDouble).norm(2, {1}));
    });
    const at::Tensor others = out.masked_select(sink.logical_not());
    if (others.numel() > 0) out.masked_fill_(sink, others.max() + 1.0);
  }

 private:
  /// [T] f64 for one query head.
  at::Tensor expected_logits(const ScoreInput& in, int64_t head, const at::Tensor& keys) const {
    const OwnQueries& own = *in.own;
    const int64_t dim = keys.size(1);
    const int64_t skip =
        std::clamp<int64_t>(in.span.begin + options_.sinks - own.first, 0, own.rows() - 1);
    const at::Tensor queries = own.queries[head].narrow(0, skip, own.rows() - skip);
    const at::Tensor frequencies = frequencies_of(in, dim);
    Moments moments(dim);
    constexpr int64_t kRows = 512;
    for (int64_t i = 0; i < queries.size(0); i += kRows) {
      const int64_t n = std::min(kRows, queries.size(0) - i), first = own.first + skip + i;
      // Back to where they were before RoPE. The rotary factor stays in: keys have it only once.
      const at::Tensor angle = at::ger(at::arange(first, first + n, at::kDouble), frequencies);
      moments.add(turn(queries.narrow(0, i, n).to(at::kDouble), angle.cos(), -angle.sin()));
    }
    // While a chunk is read the cache is not yet as long as the span.
    const int64_t next =
        std::max(in.cache != nullptr ? in.cache->logical_length() : 0, in.span.end);
    const auto [cos, sin] = mean_rotation(frequencies, next, options_.future);
    const at::Tensor mean = turn(moments.mean(), cos, sin);
    at::Tensor covariance = turn(moments.scatter() / moments.weight(), cos, sin);
    covariance = turn(covariance.t().contiguous(), cos, sin);
    at::Tensor out = at::empty({keys.size(0)}, at::kDouble);
    constexpr int64_t kKeys = 4096;
    for (int64_t i = 0; i < keys.size(0); i += kKeys) {
      const int64_t n = std::min(kKeys, keys.size(0) - i);
      const at::Tensor k = keys.narrow(0, i, n).to(at::kDouble);
      out.narrow(0, i, n).copy_(at::mv(k, mean) * own.scale +
                                (at::mm(k, covariance) * k).sum(1) * (own.scale * own.scale / 2));
    }
    return out;
  }

  /// [D / 2] f64; without a model nothing turns.
  static at::Tensor frequencies_of(const ScoreInput& in, int64_t dim) {
    if (in.model == nullptr) return at::zeros({dim / 2}, at::kDouble);
    return at::tensor(in.model->inverse_frequencies(in.layer), at::kFloat).to(at::kDouble);
  }

  ExpectedOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_expected_scorer(const OptionTexts& options) {
  return std::make_unique<ExpectedScorer>(options_from_texts<ExpectedOptions>("expected", options));
}
std::vector<FieldInfo> describe_expected_scorer() { return options_describe<ExpectedOptions>(); }

}  // namespace limbeck
