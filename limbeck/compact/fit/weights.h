/// Weights of the kept slots: how much mass each stands for. beta = log w is stored as the bias.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// min_w ||A_S w - 1||_Omega with w >= 0 from the Gram alone: G_SS [t, t] f64, target (G 1)_S [t].
/// Exact: unit-diagonal scaling, ridge 1e-7 (1e-4 with exchanges), block principal pivoting with
/// Cholesky solves (docs/methods.md, the fit). `exchanges` >= 0 stops after so many solves and
/// sets what is not yet feasible to 0. A slot that no row reads (unit_scale) stays as it was, w
/// = 1. `rescues` counts larger ridges. Returns w [t] f64.
constexpr int64_t kNnlsExact = -1;
at::Tensor nnls_gram(const at::Tensor& g, const at::Tensor& target, int64_t exchanges = kNnlsExact,
                     int64_t* rescues = nullptr);

/// 1 / root of a Gram's diagonal [t] f64; 0 for columns so small beside the largest that their
/// squares may be lost to underflow where their products with others are not, which leaves no
/// positive definite matrix.
at::Tensor unit_scale(const at::Tensor& diagonal);

/// Ridge on the unit diagonal of the exact fit, and how far below 0 a gradient may be.
inline constexpr double kNnlsRidge = 1e-7, kNnlsSlack = 1e-9;

/// Which variables of block principal pivoting change sides: all wrong ones while their number
/// falls, else only the last, which cannot cycle (Judice and Pires).
class ExchangeRule {
 public:
  explicit ExchangeRule(int64_t variables) : best_(variables + 1) {}
  std::vector<int64_t> choose(std::vector<int64_t> wrong);
  /// Rounds behind which the fit takes what it has.
  static int64_t most_rounds(int64_t variables) { return 10 * variables + 30; }

 private:
  int64_t best_, patience_ = 3;
};

/// The published weight fit (arXiv 2602.16284, section 3): unconstrained least squares
/// phi [n, t] w = target [n], clamped to [low, high], then `iterations` projected gradient steps of
/// length 1 / L, L the squared spectral norm by 3 power iterations.
struct LiteralWeights {
  int64_t iterations = 0;
  double low = 1e-12, high = 1e300;
};
/// phi and target f32, t >= 1, from their Gram (joint_gram) where that is conditioned well enough;
/// else, and with fewer rows than columns, as the reference. w [t] f64.
at::Tensor literal_weights(const at::Tensor& phi, const at::Tensor& target,
                           const LiteralWeights& options);
/// phi and target f64, step by step: the reference.
at::Tensor literal_weights_plain(const at::Tensor& phi, const at::Tensor& target,
                                 const LiteralWeights& options);
/// The published value fit: least_squares() of y [n, k] on x [n, t], both f32, from their Gram
/// where it is conditioned well enough. [t, k] f64.
at::Tensor literal_values(const at::Tensor& x, const at::Tensor& y);

/// argmin ||x c - y|| [n, t], y [n] or [n, k], f64, without a ridge: the normal equations, refined
/// once or twice by the least pivot of their factor, while they are well enough conditioned; else
/// least_squares_plain().
at::Tensor least_squares(const at::Tensor& x, const at::Tensor& y);
/// The same by QR, and when its result is not finite the normal equations with 1e-6 on the
/// diagonal: the reference.
at::Tensor least_squares_plain(const at::Tensor& x, const at::Tensor& y);

}  // namespace limbeck
