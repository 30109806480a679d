#include "limbeck/compact/fit/gram.h"

#include "limbeck/compact/fit/shapes.h"
#include "limbeck/compact/fit/tiles.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/feature_rows.h"
#include "limbeck/model/kernels/float_products.h"
#include "limbeck/model/kernels/row_products.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <limits>
#include <vector>

namespace limbeck {
namespace {

class DenseGram : public Gram {
 public:
  explicit DenseGram(at::Tensor g) : g_(std::move(g)) {}
  int64_t size() const override { return g_.size(0); }
  at::Tensor diagonal() const override { return g_.diagonal().to(at::kDouble); }
  at::Tensor columns(const at::Tensor& index) const override {
    return g_.index_select(0, index).t().to(at::kDouble);  // symmetric: rows are columns
  }
  at::Tensor block(const at::Tensor& index) const override {
    return g_.index_select(0, index).index_select(1, index).to(at::kDouble);
  }
  at::Tensor times(const at::Tensor& m) const override { return at::mm(g_.to(at::kDouble), m); }

 private:
  at::Tensor g_;
};

/// The features by panels of columns, as float_columns() takes them.
class FactoredGram : public Gram {
 public:
  explicit FactoredGram(const at::Tensor& b)
      : panels_(at::empty({round_up(b.size(1), kFloatPanel) / kFloatPanel, b.size(0), kFloatPanel},
                          at::kFloat)),
        size_(b.size(1)) {
    float_pack(b.contiguous().const_data_ptr<float>(), b.size(0), size_,
               panels_.mutable_data_ptr<float>());
  }
  int64_t size() const override { return size_; }
  at::Tensor diagonal() const override {
    at::Tensor out = at::zeros({panels_.size(0), kFloatPanel}, at::kDouble);
    for (int64_t p = 0; p < panels_.size(0); ++p)
      out[p] = panels_[p].square().sum(0, false, at::kDouble);
    return out.view(-1).narrow(0, 0, size_);
  }
  at::Tensor columns(const at::Tensor& index) const override {
    at::Tensor out = at::empty({index.size(0), size_}, at::kDouble);
    float_columns({panels_.const_data_ptr<float>(), panels_.size(1), size_,
                   index.const_data_ptr<int64_t>(), index.size(0), out.mutable_data_ptr<double>()});
    return out.t();
  }
  at::Tensor block(const at::Tensor& index) const override {
    constexpr int64_t kRows = 256;
    const int64_t c = index.size(0), width = round_up(c, kFloatPanel), n = panels_.size(1);
    const float* panels = panels_.const_data_ptr<float>();
    const int64_t* slot = index.const_data_ptr<int64_t>();
    at::Tensor x = at::zeros({kRows, width}, at::kFloat);
    at::Tensor gram = at::zeros({width, width}, at::kDouble);
    for (int64_t first = 0; first < n; first += kRows) {
      const int64_t rows = std::min(kRows, n - first);
      float* to = x.mutable_data_ptr<float>();
      for (int64_t i = 0; i < c; ++i) {
        const float* from =
            panels + (slot[i] / kFloatPanel * n + first) * kFloatPanel + slot[i] % kFloatPanel;
        for (int64_t r = 0; r < rows; ++r) to[r * width + i] = from[r * kFloatPanel];
      }
      float_gram(to, to, rows, width, gram.mutable_data_ptr<double>());
    }
    const at::Tensor upper = gram.narrow(0, 0, c).narrow(1, 0, c).triu();
    return upper + upper.triu(1).t();
  }
  at::Tensor times(const at::Tensor& m) const override {
    constexpr int64_t kRows = 256;  // at once in f64
    at::Tensor out = at::zeros({size_, m.size(1)}, at::kDouble);
    for (int64_t i = 0; i < panels_.size(1); i += kRows) {
      const int64_t rows = std::min(kRows, panels_.size(1) - i);
      const at::Tensor b = panels_.narrow(1, i, rows)
                               .permute({1, 0, 2})
                               .reshape({rows, -1})
                               .narrow(1, 0, size_)
                               .to(at::kDouble);
      out.addmm_(b.t(), at::mm(b, m));
    }
    return out;
  }

 private:
  at::Tensor panels_;  ///< [panels, rows, kFloatPanel]
  int64_t size_;
};

/// Features by slot in bf16, and their squares.
struct TurnedFeatures {
  explicit TurnedFeatures(const at::Tensor& b)
      : rows(at::empty({b.size(1), round_up(b.size(0), 32)}, at::kBFloat16)),
        squares(at::empty({b.size(1)}, at::kDouble)) {
    const at::Tensor x = b.contiguous();
    turn_features({x.size(0), x.size(1), x.const_data_ptr<float>(),
                   reinterpret_cast<Bf16*>(rows.mutable_data_ptr<at::BFloat16>()), rows.size(1),
                   squares.mutable_data_ptr<double>()});
  }
  /// Products of some of the slots with some, [left, right] f64 at `out`.
  void multiply(const RowChoice& left, const RowChoice& right, double* out) const {
    row_products({reinterpret_cast<const Bf16*>(rows.const_data_ptr<at::BFloat16>()), rows.size(1),
                  left, right, out});
  }
  at::Tensor rows;     ///< [T, r] bf16, r padded
  at::Tensor squares;  ///< [T]
};

class TiledGram : public Gram {
 public:
  explicit TiledGram(const at::Tensor& b) : b_(b) {}
  int64_t size() const override { return b_.rows.size(0); }
  at::Tensor diagonal() const override { return b_.squares; }
  at::Tensor columns(const at::Tensor& index) const override {
    if (!row_products_serve()) return product(b_.rows, b_.rows, index);
    return product({size(), nullptr, 0}, index).t();
  }
  at::Tensor block(const at::Tensor& index) const override {
    if (!row_products_serve()) return product(b_.rows, b_.rows.index_select(0, index), index);
    return product({index.size(0), index.const_data_ptr<int64_t>(), 0}, index);
  }
  at::Tensor times(const at::Tensor& m) const override {
    const at::Tensor b = b_.rows.to(at::kDouble);
    return at::mm(b, at::mm(b.t(), m));
  }

 private:
  /// Slots `index` times others, in one kernel, which needs tile units.
  at::Tensor product(const RowChoice& others, const at::Tensor& index) const {
    at::Tensor out = at::empty({index.size(0), others.count}, at::kDouble);
    b_.multiply({index.size(0), index.const_data_ptr<int64_t>(), 0}, others,
                out.mutable_data_ptr<double>());
    return out;
  }
  /// rows [r, k] times the columns `index` of B.
  static at::Tensor product(const at::Tensor& all, const at::Tensor& rows,
                            const at::Tensor& index) {
    const int64_t c = index.size(0), wide = (c + 15) / 16 * 16, k = all.size(1);
    at::Tensor right = at::zeros({k, wide}, at::kBFloat16);
    right.narrow(1, 0, c).copy_(all.index_select(0, index).t());
    const PackedMatrix packed = pack_matrix(right);
    at::Tensor out = at::empty({rows.size(0), wide}, at::kFloat);
    constexpr int64_t kRows = 64;
    for (int64_t i = 0; i < rows.size(0); i += kRows)
      multiply_tiles(rows.const_data_ptr<at::BFloat16>() + i * k, std::min(kRows, rows.size(0) - i),
                     packed, out.mutable_data_ptr<float>() + i * wide, wide);
    tiles_release();
    return out.narrow(1, 0, c).to(at::kDouble);
  }

  TurnedFeatures b_;
};

/// Calls fn with the weighted features sqrt(omega) A of one batch of queries after another.
template <class F>
void for_each_batch(const HeadProblem& p, int64_t batch, F&& fn) {
  const int64_t n = p.queries.size(0);
  for (int64_t i = 0; i < n; i += batch) {
    const int64_t m = std::min(batch, n - i);
    const Features f =
        softmax_features(attention_logits(p.queries.narrow(0, i, m), p.keys, p.bias, p.scale));
    if (p.weights.defined()) f.a.mul_(p.weights.narrow(0, i, m).sqrt().unsqueeze(1));
    fn(i, f.a);
  }
}

}  // namespace

std::unique_ptr<Gram> dense_gram(at::Tensor g) { return std::make_unique<DenseGram>(std::move(g)); }
std::unique_ptr<Gram> factored_gram(at::Tensor b) { return std::make_unique<FactoredGram>(b); }
std::unique_ptr<Gram> tiled_gram(at::Tensor b) {
  // AVX2 has nothing for bf16 and multiplies in f32 anyway.
  if (cpu_path() > CpuPath::avx2) return std::make_unique<TiledGram>(b);
  return factored_gram(std::move(b));
}

at::Tensor attention_gram(const HeadProblem& problem, int64_t batch) {
  at::Tensor g;
  for_each_batch(problem, batch, [&](int64_t, const at::Tensor& a) {
    const at::Tensor part = symmetric_product(a);
    if (g.defined())
      g.add_(part);
    else
      g = part;
  });
  return g;
}

namespace {

/// Whether products of f32 matrices may round their operands to bf16, and tile units are there.
bool tiles_may_multiply(const at::Tensor& a) {
  return a.scalar_type() == at::kFloat && row_products_serve() &&
         at::globalContext().float32MatmulPrecision() == at::Float32MatmulPrecision::MEDIUM;
}

at::Tensor tiled_square(const at::Tensor& a) {
  constexpr int64_t kSlots = 32;
  const int64_t size = a.size(1);
  const TurnedFeatures turned(a);
  at::Tensor g = at::empty({size, size}, at::kFloat);
  float* to = g.mutable_data_ptr<float>();
  std::vector<double> strip(static_cast<size_t>(kSlots * size));
  for (int64_t first = 0; first < size; first += kSlots) {
    const int64_t count = std::min(kSlots, size - first), wide = size - first;
    turned.multiply({count, nullptr, first}, {wide, nullptr, first}, strip.data());
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = i; j < wide; ++j)
        to[(first + i) * size + first + j] = static_cast<float>(strip[i * wide + j]);
    for (int64_t j = 0; j < wide; ++j)
      for (int64_t i = 0; i < std::min(count, j); ++i)
        to[(first + j) * size + first + i] = static_cast<float>(strip[i * wide + j]);
  }
  return g;
}

}  // namespace

at::Tensor symmetric_product(const at::Tensor& a) {
  if (tiles_may_multiply(a)) return tiled_square(a);
  return symmetric_product_plain(a);
}

at::Tensor symmetric_product_plain(const at::Tensor& a) {
  constexpr int64_t kPanel = 128;  // narrower ones slow the products down
  const int64_t size = a.size(1);
  at::Tensor g = at::empty({size, size}, a.options());
  for (int64_t i = 0; i < size; i += kPanel) {
    const int64_t width = std::min(kPanel, size - i);
    at::Tensor right = at::mm(a.narrow(1, i, width).t(), a.narrow(1, i, size - i));
    at::Tensor square = right.narrow(1, 0, width);
    square.copy_(0.5 * (square + square.t()));  // kernels may round the two halves apart
    g.narrow(0, i, width).narrow(1, i, size - i).copy_(right);
    if (i + width < size)
      g.narrow(0, i + width, size - i - width)
          .narrow(1, i, width)
          .copy_(right.narrow(1, width, size - i - width).t());
  }
  return g;
}

namespace {

/// The symmetric matrix [t, t] f64 of which `upper` holds what is not below the diagonal, rows and
/// columns times `scale` [t]. By squares that stay in the cache both ways.
at::Tensor mirrored(const at::Tensor& upper, int64_t t, const at::Tensor& scale) {
  constexpr int64_t kSquare = 64;
  const at::Tensor g = at::empty({t, t}, at::kDouble);
  const double *from = upper.const_data_ptr<double>(), *s = scale.const_data_ptr<double>();
  double* to = g.mutable_data_ptr<double>();
  const int64_t stride = upper.size(1);
  for (int64_t rows = 0; rows < t; rows += kSquare)
    for (int64_t columns = rows; columns < t; columns += kSquare)
      for (int64_t i = rows; i < std::min(t, rows + kSquare); ++i)
        for (int64_t j = std::max(i, columns); j < std::min(t, columns + kSquare); ++j)
          to[i * t + j] = to[j * t + i] = from[i * stride + j] * s[i] * s[j];
  return g;
}

}  // namespace

JointGram joint_gram(const at::Tensor& x, const at::Tensor& y) {
  constexpr int64_t kRows = 512;  // scaled at once, beside x
  const int64_t n = x.size(0), t = x.size(1), k = y.size(1), width = round_up(t + k, kFloatPanel);
  // Columns of tiny weights would have squares below the smallest number: powers of two, which lose
  // nothing, bring their maxima to 1.
  const at::Tensor top = x.abs().amax(0);
  const at::Tensor factor = at::where(top > 0, at::exp2(top.log2().floor_().neg_()), 1.0)
                                .clamp_max_(std::numeric_limits<float>::max());
  at::Tensor both = at::zeros({kRows, width}, at::kFloat);
  at::Tensor gram = at::zeros({width, width}, at::kDouble);
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t m = std::min(kRows, n - i);
    at::Tensor left = both.narrow(0, 0, m).narrow(1, 0, t);
    at::mul_out(left, x.narrow(0, i, m), factor);
    both.narrow(0, 0, m).narrow(1, t, k).copy_(y.narrow(0, i, m));
    const float* rows = both.const_data_ptr<float>();
    float_gram(rows, rows, m, width, gram.mutable_data_ptr<double>());
  }
  const at::Tensor back = factor.to(at::kDouble).reciprocal();
  return {mirrored(gram, t, back), gram.narrow(0, 0, t).narrow(1, t, k) * back.unsqueeze(1)};
}

}  // namespace limbeck
