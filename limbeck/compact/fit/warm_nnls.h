/// Non-negative weights for a set of slots that gains one at a time, as greedy pursuits need them.
#pragma once

#include "limbeck/compact/fit/growing_cholesky.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// min ||A_S w - 1||_Omega, w >= 0, from the Gram G [T, T] f32 or f64 of all slots. The slots of
/// positive weight are known from the set before, and their factor follows as slots change sides.
/// Diagonal, ridge and exchanges are those of nnls_gram(), which is the reference.
class WarmNnls {
 public:
  explicit WarmNnls(const at::Tensor& g);
  /// A slot that is not in the set yet.
  void add(int32_t slot);
  /// c = G1 - G_:S w [T] f64.
  const at::Tensor& unexplained() const { return c_; }

 private:
  bool join(int64_t member);
  void leave(int64_t member);
  bool exchange();
  double gradient(int64_t member) const;
  bool turn(const std::vector<int64_t>& members, const std::vector<uint8_t>& positive);
  bool refactor(const std::vector<uint8_t>& positive);
  std::vector<double> start_again();
  void settle(const std::vector<double>& x);
  /// G's rows of the set [t, T] f64.
  at::Tensor rows() const { return rows_.narrow(0, 0, static_cast<int64_t>(set_.size())); }

  at::Tensor g_, sums_, c_;
  at::Tensor rows_;            ///< in memory that doubles
  std::vector<double> scale_;  ///< [T] 1 / root of the diagonal
  std::vector<int64_t> set_;
  std::vector<std::vector<double>> products_;  ///< [t, t] of the members, with a unit diagonal
  std::vector<double> right_, x_;              ///< [t] sums and weights beside them
  std::vector<int64_t> passive_;               ///< members of positive weight, as in the factor
  GrowingCholesky cholesky_;
};

}  // namespace limbeck
