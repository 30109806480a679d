#include "limbeck/compact/score/leverage.h"

#include "limbeck/base/random.h"
#include "limbeck/compact/parallel.h"
#include "limbeck/model/kernels/float_products.h"
#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace limbeck {
namespace {

/// [D, k] normal with variance 1/k, the same for all heads and layers. Counted, not drawn in a row,
/// so that it does not depend on who asks first.
at::Tensor sketch_matrix(int64_t dim, int64_t k) {
  constexpr uint64_t kSeed = 42;
  at::Tensor out = at::empty({dim, k}, at::kDouble);
  double* p = out.mutable_data_ptr<double>();
  for (int64_t i = 0; i < dim * k; ++i) {
    const auto index = static_cast<uint64_t>(2 * i);
    const double u = 1.0 - unit_double(splitmix64_at(kSeed, index)),
                 v = unit_double(splitmix64_at(kSeed, index + 1));
    p[i] = std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v) /
           std::sqrt(static_cast<double>(k));
  }
  return out;
}

/// R^-1 of A + mu I = R R^T [D, D]; the ridge grows tenfold when the factorisation fails.
at::Tensor inverse_factor(const at::Tensor& a, double ridge) {
  const int64_t d = a.size(0);
  const at::Tensor eye = at::eye(d, at::kDouble);
  double mu = ridge * a.trace().item<double>() / static_cast<double>(d);
  for (int attempt = 0; attempt <= 5; ++attempt, mu *= 10) {
    const auto [factor, info] = at::linalg_cholesky_ex(a + eye * mu);
    if (info.item<int32_t>() == 0) return at::linalg_solve_triangular(factor, eye, /*upper=*/false);
  }
  throw NumericalError("[leverage] the keys' Gram matrix cannot be factored; the ridge reached {}",
                       mu / 10);
}

/// Rows less `mean` [D] f32, in blocks [m, width] padded with zeros that stay in the cache:
/// fn(first row, m, block).
template <class F>
void for_each_centred_block(const at::Tensor& x, const at::Tensor& mean, int64_t width, F&& fn) {
  constexpr int64_t kRows = 512;
  const int64_t n = x.size(0), dim = x.size(1);
  at::Tensor block = at::zeros({std::min(kRows, n), width}, at::kFloat);
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i);
    at::Tensor rows = block.narrow(0, 0, m).narrow(1, 0, dim);
    at::sub_out(rows, x.narrow(0, i, m), mean);
    fn(i, m, block);
  }
}

at::Tensor leverage_of_chunk(const at::Tensor& x, const at::Tensor& weights, double ridge) {
  const int64_t n = x.size(0), dim = x.size(1),
                width = (dim + kFloatPanel - 1) / kFloatPanel * kFloatPanel;
  at::Tensor out = at::zeros({n}, at::kFloat);
  const double total =
      weights.defined() ? weights.sum(at::kDouble).item<double>() : static_cast<double>(n);
  if (n < 2 || !(total > 0)) return out;
  // Their sum in f64, rounded once: all rows are centred on the same value.
  const at::Tensor sum = weights.defined() ? (x * weights.unsqueeze(1)).sum({0}, false, at::kDouble)
                                           : x.sum({0}, false, at::kDouble);
  const at::Tensor mean = (sum / total).to(at::kFloat);

  at::Tensor gram = at::zeros({width, width}, at::kDouble), weighted;
  for_each_centred_block(x, mean, width, [&](int64_t i, int64_t m, const at::Tensor& block) {
    const at::Tensor rows = block.narrow(0, 0, m);
    if (weights.defined()) weighted = rows * weights.narrow(0, i, m).unsqueeze(1);
    const at::Tensor& y = weights.defined() ? weighted : rows;
    float_gram(rows.const_data_ptr<float>(), y.const_data_ptr<float>(), m, width,
               gram.mutable_data_ptr<double>());
  });
  gram = gram.triu();
  gram = (gram + gram.triu(1).t()).narrow(0, 0, dim).narrow(1, 0, dim);
  if (gram.trace().item<double>() <= 0) return out;

  at::Tensor to_white = at::zeros({width, width}, at::kFloat);  // upper triangular
  to_white.narrow(0, 0, dim).narrow(1, 0, dim).copy_(inverse_factor(gram, ridge).t());
  for_each_centred_block(x, mean, width, [&](int64_t i, int64_t m, const at::Tensor& block) {
    float_row_norms(block.const_data_ptr<float>(), m, width, to_white.const_data_ptr<float>(),
                    out.mutable_data_ptr<float>() + i);
  });
  return weights.defined() ? out * weights : out;
}

struct LeverageOptions {
  int64_t chunk = 0;
  int64_t recent = 4;
  double ridge = 1e-5;
  int64_t sinks = 8;
  int64_t sketch = 0;
  template <class V>
  void for_each_field(V&& v) {
    v("chunk", chunk, closed(0, 1 << 24), "slots that compete with each other; 0 = the whole span");
    v("recent", recent, closed(0, 1 << 20), "last slots of the span that are always kept");
    v("ridge", ridge, open_closed(0.0, 1.0), "ridge relative to the mean eigenvalue of the Gram");
    v("sinks", sinks, closed(0, 1 << 20), "first slots of the span that are always kept");
    v("sketch", sketch, closed(0, 1 << 12), "project keys to so many dimensions; 0 = exact");
  }
};

/// Keys before RoPE that the others do not explain. What is kept already takes no part.
class LeverageScorer : public Scorer {
 public:
  explicit LeverageScorer(const LeverageOptions& o) : options_(o) {}
  ScorerTraits traits() const override {
    return {.comparable = Comparable::layer,
            .sinks = options_.sinks,
            .recent = options_.recent,
            .budget = BudgetUse::none};
  }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    out.zero_();
    const KeysBeforeRope keys(in);
    parallel_tasks(in.slots->kv_heads(), [&](int64_t h) {
      const at::Tensor open = open_slots(in, h);
      const at::Tensor x = keys.rows(h, open);
      out.index_copy_(0, open + in.slots->offsets[h],
                      leverage_scores(x, slot_weights(in, h, open),
                                      {options_.ridge, options_.chunk, options_.sketch}));
    });
  }

 private:
  LeverageOptions options_;
};

}  // namespace

at::Tensor leverage_scores(const at::Tensor& keys, const at::Tensor& weights,
                           const LeverageForm& form) {
  const int64_t n = keys.size(0), dim = keys.size(1);
  if (form.sketch >= dim)
    throw InvalidArgument("[leverage] sketch must be below the head dimension of {}; found {}", dim,
                          form.sketch);
  const at::Tensor x =
      form.sketch > 0 ? at::mm(keys.to(at::kDouble), sketch_matrix(dim, form.sketch)).to(at::kFloat)
                      : keys.to(at::kFloat);
  const int64_t step = form.chunk > 0 ? form.chunk : std::max<int64_t>(n, 1);
  at::Tensor out = at::empty({n}, at::kFloat);
  for (int64_t begin = 0; begin < n;) {
    int64_t end = std::min(n, begin + step);
    if (n - end < 2 * dim) end = n;
    out.narrow(0, begin, end - begin)
        .copy_(leverage_of_chunk(
            x.narrow(0, begin, end - begin),
            weights.defined() ? weights.narrow(0, begin, end - begin) : at::Tensor(), form.ridge));
    begin = end;
  }
  return out;
}

at::Tensor leverage_plain(const at::Tensor& keys, const at::Tensor& weights, double ridge) {
  const int64_t dim = keys.size(1);
  const at::Tensor w =
      (weights.defined() ? weights : at::ones({keys.size(0)})).to(at::kDouble).unsqueeze(1);
  at::Tensor x = keys.to(at::kDouble);
  x = x - (x * w).sum(0) / w.sum();
  const at::Tensor a = at::mm((x * w).t(), x);
  const at::Tensor mu = a.trace() * (ridge / static_cast<double>(dim));
  const at::Tensor solved = at::linalg_solve(a + at::eye(dim, at::kDouble) * mu, x.t());
  return ((x * solved.t()).sum(1, true) * w).squeeze(1).to(at::kFloat);
}

KeysBeforeRope::KeysBeforeRope(const ScoreInput& in) : in_(in) {
  const LayerSegment& s = *in.slots;
  if (in.model == nullptr || s.slots() == 0) return;
  int64_t longest = 0;
  for (int64_t h = 0; h < s.kv_heads(); ++h) longest = std::max(longest, s.slots(h));
  first_ = s.positions.min().item<int64_t>();
  const int64_t n = s.positions.max().item<int64_t>() - first_ + 1;
  if (n > 2 * longest) return;
  // cos and sin of sums of angles: few of them are computed as such.
  constexpr int64_t kBlock = 256;
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  const at::Tensor f =
      at::tensor(in.model->inverse_frequencies(in.layer), at::kFloat).to(at::kDouble);
  const at::Tensor outer =
      at::ger(at::arange(blocks, at::kDouble) * kBlock + static_cast<double>(first_), f)
          .unsqueeze(1);
  const at::Tensor inner = at::ger(at::arange(kBlock, at::kDouble), f).unsqueeze(0);
  const at::Tensor co = outer.cos(), so = outer.sin(), ci = inner.cos(), si = inner.sin();
  const double factor = 1.0 / in.model->spec().layers[in.layer].rope.cos_sin_factor();
  const auto table = [&](const at::Tensor& x) {
    return (x * factor).to(at::kFloat).view({blocks * kBlock, -1});
  };
  cos_ = table(co * ci - so * si);
  sin_ = table(so * ci + co * si);
}

namespace {

/// Row i of the output: the key at row slots[i], turned back by its position's angles. One pass,
/// because the keys of a long text do not fit any cache.
template <class T>
void turn_back(const T* keys, const int32_t* positions, int64_t first, const int64_t* slots,
               int64_t count, int64_t half, const float* cos, const float* sin, float* out) {
  for (int64_t i = 0; i < count; ++i, out += 2 * half) {
    const T* k = keys + slots[i] * 2 * half;
    const float *c = cos + (positions[slots[i]] - first) * half,
                *s = sin + (positions[slots[i]] - first) * half;
    for (int64_t j = 0; j < half; ++j) {
      const auto a = static_cast<float>(k[j]), b = static_cast<float>(k[half + j]);
      out[j] = a * c[j] + b * s[j];
      out[half + j] = b * c[j] - a * s[j];
    }
  }
}

}  // namespace

at::Tensor KeysBeforeRope::rows(int64_t h, const at::Tensor& slots) const {
  const int64_t begin = in_.slots->offsets[h], n = in_.slots->slots(h);
  const at::Tensor keys = in_.slots->keys.narrow(0, begin, n);
  if (in_.model == nullptr || n == 0) return keys.index_select(0, slots).to(at::kFloat);
  const at::Tensor positions = in_.slots->positions.narrow(0, begin, n);
  if (!cos_.defined())
    return rotate_keys(keys.index_select(0, slots).to(at::kFloat),
                       positions.index_select(0, slots).neg(),
                       in_.model->inverse_frequencies(in_.layer)) /
           in_.model->spec().layers[in_.layer].rope.cos_sin_factor();
  at::Tensor out = at::empty({slots.size(0), keys.size(1)}, at::kFloat);
  const auto turn = [&](const auto* k) {
    turn_back(k, positions.const_data_ptr<int32_t>(), first_, slots.const_data_ptr<int64_t>(),
              slots.size(0), keys.size(1) / 2, cos_.const_data_ptr<float>(),
              sin_.const_data_ptr<float>(), out.mutable_data_ptr<float>());
  };
  if (keys.scalar_type() == at::kBFloat16)
    turn(keys.const_data_ptr<at::BFloat16>());
  else
    turn(keys.const_data_ptr<float>());
  return out;
}

at::Tensor open_slots(const ScoreInput& in, int64_t h) {
  const int64_t first = in.slots->offsets[h], n = in.slots->slots(h);
  const float* bias = in.slots->bias.defined() ? in.slots->bias.const_data_ptr<float>() : nullptr;
  std::vector<int64_t> open;
  for (int64_t i = 0; i < n; ++i)
    if ((in.forced.empty() || in.forced[first + i] == 0) &&
        (bias == nullptr || bias[first + i] != kNoCandidate))
      open.push_back(i);
  return at::tensor(open, at::kLong);
}

at::Tensor slot_weights(const ScoreInput& in, int64_t h, const at::Tensor& slots) {
  if (!in.slots->bias.defined()) return {};
  return in.slots->bias.index_select(0, slots + in.slots->offsets[h]).exp();
}

std::unique_ptr<Scorer> make_leverage_scorer(const OptionTexts& options) {
  return std::make_unique<LeverageScorer>(options_from_texts<LeverageOptions>("leverage", options));
}
std::vector<FieldInfo> describe_leverage_scorer() { return options_describe<LeverageOptions>(); }

}  // namespace limbeck
