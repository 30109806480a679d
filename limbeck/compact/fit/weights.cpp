#include "limbeck/compact/fit/weights.h"

#include "limbeck/compact/fit/cholesky.h"
#include "limbeck/compact/fit/gram.h"

#include <ATen/ATen.h>

#include <optional>
#include <vector>

namespace limbeck {
namespace {

/// Solves (a + ridge I) x = b; the ridge grows tenfold until the factorisation exists. Zeros where
/// it never does, which needs numbers that are not finite.
at::Tensor solve_ridged(const at::Tensor& a, const at::Tensor& b, double ridge, int64_t& rescues) {
  for (int i = 0; i < 12; ++i, ridge *= 10) {
    const at::Tensor l = cholesky_factor(a, ridge);
    if (l.defined()) return cholesky_solved(l, b);
    ++rescues;
  }
  return at::full_like(b, 0.0);
}

/// The least eigenvalue of the unit-diagonal matrix at which a Gram of f32 products serves:
/// relative errors of about 1e-7 in it grow by the inverse.
constexpr double kGramEigenvalue = 1e-4;

/// The least eigenvalue of L L', by inverse iteration from above.
double least_eigenvalue(const at::Tensor& l) {
  at::Tensor v = at::ones({l.size(0), 1}, at::kDouble);
  v.slice(0, 1, l.size(0), 2).neg_();  // not the direction that non-negative columns share
  double norm = 1;
  for (int i = 0; i < 5; ++i) {
    v.div_(v.norm());
    v = cholesky_solved(l, v);
    norm = v.norm().item<double>();
  }
  return 1 / norm;
}

/// argmin ||X c - Y||; nothing where the Gram is too ill-conditioned for it.
std::optional<at::Tensor> solve_gram(const JointGram& g) {
  const at::Tensor scale = g.xx.diagonal().clamp_min(1e-300).rsqrt();
  const at::Tensor l = cholesky_factor(g.xx * scale.unsqueeze(0) * scale.unsqueeze(1), 0.0);
  if (!l.defined() || !(least_eigenvalue(l) >= kGramEigenvalue)) return {};
  at::Tensor out = cholesky_solved(l, g.xy * scale.unsqueeze(1)) * scale.unsqueeze(1);
  if (!out.isfinite().all().item<bool>()) return {};
  return out;
}

}  // namespace

std::vector<int64_t> ExchangeRule::choose(std::vector<int64_t> wrong) {
  if (static_cast<int64_t>(wrong.size()) < best_) {
    best_ = static_cast<int64_t>(wrong.size());
    patience_ = 3;
  } else if (--patience_ < 0) {
    return {wrong.back()};
  }
  return wrong;
}

at::Tensor unit_scale(const at::Tensor& diagonal) {
  const at::Tensor d = diagonal.to(at::kDouble);
  if (d.numel() == 0) return d;
  constexpr double kUnread = 1e-24;  // of the largest: weights of e^8 do not bring it back
  return at::where(d > d.max() * kUnread, d.clamp_min(1e-300).rsqrt(), at::zeros({}, at::kDouble));
}

at::Tensor nnls_gram(const at::Tensor& g, const at::Tensor& target, int64_t exchanges,
                     int64_t* rescues) {
  // Without the exact end there is no use for a ridge that the rounding of g may not allow.
  // That one is factorised in f32, at half the cost.
  const double ridge = exchanges < 0 ? kNnlsRidge : 1e-4;
  const at::ScalarType type = exchanges < 0 ? at::kDouble : at::kFloat;
  const int64_t t = g.size(0);
  const at::Tensor scale = unit_scale(g.diagonal());
  const at::Tensor a = (g * scale.unsqueeze(0) * scale.unsqueeze(1)).to(type).contiguous();
  const at::Tensor b = (target * scale).contiguous();
  int64_t rescued = 0;
  std::vector<uint8_t> passive(t, 1);
  at::Tensor x = at::zeros({t}, at::kDouble);
  ExchangeRule rule(t);
  const int64_t rounds = exchanges < 0 ? ExchangeRule::most_rounds(t) : exchanges;
  for (int64_t round = 0; round < rounds; ++round) {
    std::vector<int64_t> in;
    for (int64_t j = 0; j < t; ++j)
      if (passive[j] != 0) in.push_back(j);
    x.zero_();
    if (!in.empty()) {
      const at::Tensor index = at::tensor(in, at::kLong);
      const bool all = static_cast<int64_t>(in.size()) == t;
      const at::Tensor part = all ? a : a.index_select(0, index).index_select(1, index);
      x.index_copy_(
          0, index,
          solve_ridged(part, b.index_select(0, index).to(type), ridge, rescued).to(at::kDouble));
    }
    const at::Tensor y = at::mv(a, x.to(type)).to(at::kDouble).add_(x, ridge).sub_(b);
    const double *px = x.const_data_ptr<double>(), *py = y.const_data_ptr<double>();
    std::vector<int64_t> wrong;
    for (int64_t j = 0; j < t; ++j)
      if (passive[j] != 0 ? px[j] < 0 : py[j] < -kNnlsSlack) wrong.push_back(j);
    if (wrong.empty()) break;
    for (int64_t j : rule.choose(std::move(wrong))) passive[j] ^= 1;
  }
  if (rescues != nullptr) *rescues += rescued;
  return at::where(scale > 0, x.clamp_min(0.0) * scale, at::ones({}, at::kDouble));
}

at::Tensor least_squares_plain(const at::Tensor& x, const at::Tensor& y) {
  const at::Tensor rhs = y.dim() == 1 ? y.unsqueeze(1) : y;
  const int64_t n = x.size(0), t = x.size(1);
  at::Tensor out;
  if (n >= t) {
    const auto [q, r] = at::linalg_qr(x, "reduced");
    out = at::linalg_solve_triangular(r, at::mm(q.t(), rhs), /*upper=*/true);
  }
  if (!out.defined() || !out.isfinite().all().item<bool>()) {
    // Fewer rows than columns: the dual form needs a factor of n rows only.
    const at::Tensor gram = n >= t ? at::mm(x.t(), x) : at::mm(x, x.t());
    gram.diagonal().add_(1e-6);
    const at::Tensor l = std::get<0>(at::linalg_cholesky_ex(gram));
    out = n >= t ? cholesky_solved(l, at::mm(x.t(), rhs)) : at::mm(x.t(), cholesky_solved(l, rhs));
  }
  return y.dim() == 1 ? out.squeeze(1) : out;
}

at::Tensor least_squares(const at::Tensor& x, const at::Tensor& y) {
  if (x.size(0) < x.size(1) || x.size(1) == 0) return least_squares_plain(x, y);
  const at::Tensor rhs = y.dim() == 1 ? y.unsqueeze(1) : y;
  const at::Tensor gram = symmetric_product(x);
  const at::Tensor scale = gram.diagonal().clamp_min(1e-300).rsqrt();
  const at::Tensor l = cholesky_factor(gram * scale.unsqueeze(0) * scale.unsqueeze(1), 0.0);
  // Each refinement gains the digits that the squared condition leaves: five or more at the least
  // pivot, nine at a good one, where one is enough.
  constexpr double kLeastPivot = 1e-5, kGoodPivot = 1e-3;
  const double pivot = l.defined() ? l.diagonal().min().item<double>() : 0.0;
  if (!(pivot >= kLeastPivot)) return least_squares_plain(x, y);
  const auto solve = [&](const at::Tensor& rest) {
    return cholesky_solved(l, at::mm(x.t(), rest) * scale.unsqueeze(1)) * scale.unsqueeze(1);
  };
  at::Tensor out = solve(rhs);
  for (int i = pivot < kGoodPivot ? 0 : 1; i < 2; ++i) out += solve(rhs - at::mm(x, out));
  if (!out.isfinite().all().item<bool>()) return least_squares_plain(x, y);
  return y.dim() == 1 ? out.squeeze(1) : out;
}

at::Tensor literal_weights_plain(const at::Tensor& phi, const at::Tensor& target,
                                 const LiteralWeights& options) {
  at::Tensor w =
      least_squares(phi, target).nan_to_num(options.low).clamp_(options.low, options.high);
  if (options.iterations == 0) return w;
  at::Tensor v = at::ones({phi.size(1)}, at::kDouble);
  for (int i = 0; i < 3; ++i) {
    v = at::mv(phi.t(), at::mv(phi, v));
    v.div_(v.norm().clamp_min(1e-300));
  }
  const double lipschitz = at::mv(phi, v).square().sum().item<double>();
  for (int64_t i = 0; i < options.iterations; ++i)
    w = (w - at::mv(phi.t(), at::mv(phi, w) - target) / lipschitz)
            .clamp_(options.low, options.high);
  return w;
}

at::Tensor literal_weights(const at::Tensor& phi, const at::Tensor& target,
                           const LiteralWeights& options) {
  const auto plain = [&] {
    return literal_weights_plain(phi.to(at::kDouble), target.to(at::kDouble), options);
  };
  if (phi.size(0) < phi.size(1)) return plain();
  const JointGram g = joint_gram(phi, target.unsqueeze(1));
  const auto solved = solve_gram(g);
  if (!solved) return plain();
  at::Tensor w = solved->squeeze(1).clamp(options.low, options.high);
  if (options.iterations == 0) return w;
  at::Tensor v = at::ones({phi.size(1)}, at::kDouble);
  for (int i = 0; i < 3; ++i) {
    v = at::mv(g.xx, v);
    v.div_(v.norm().clamp_min(1e-300));
  }
  const double lipschitz = v.dot(at::mv(g.xx, v)).item<double>();
  for (int64_t i = 0; i < options.iterations; ++i)
    w = (w - (at::mv(g.xx, w) - g.xy.squeeze(1)) / lipschitz).clamp_(options.low, options.high);
  return w;
}

at::Tensor literal_values(const at::Tensor& x, const at::Tensor& y) {
  if (x.size(0) >= x.size(1))
    if (const auto solved = solve_gram(joint_gram(x, y))) return *solved;
  return least_squares(x.to(at::kDouble), y.to(at::kDouble));
}

}  // namespace limbeck
