/// Least squares whose matrix gains a row and a column at a time, as greedy pursuits need it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// A = L L' and y = L^-1 b, both f64, for a growing symmetric positive definite A and its right
/// side b. Another row costs size^2 / 2 multiplications, a solution as many.
class GrowingCholesky {
 public:
  int64_t size() const { return static_cast<int64_t>(side_.size()); }
  /// The last row of A, products with the rows before it [size] and with itself, and of b. Adds
  /// nothing and returns false when less than `least` of `square` is its own.
  bool add(const std::vector<double>& products, double square, double right, double least);
  /// Several rows [b, size + b] of A at once, of which the last b columns count below the diagonal
  /// and on it. False after the first of them that is not added.
  bool add(const at::Tensor& rows, const std::vector<double>& right, double least);
  /// Takes row and column i out of A and b, by rotations: some 2 (size - i)^2 multiplications.
  void remove(int64_t i);
  /// Back to the first `size` rows.
  void truncate(int64_t size);
  /// Starts again from A [n, n] and b [n]; false, and empty, where A has no factor.
  bool assign(const at::Tensor& a, const std::vector<double>& right);
  /// A^-1 b [size].
  std::vector<double> solution() const;

 private:
  /// Adds row `products` [size + 1] of A, the first `done` numbers of whose factor are there.
  bool close(const double* products, int64_t done, double right, double least);
  at::Tensor solve(const at::Tensor& right) const;
  void reserve(int64_t rows);
  double* row(int64_t i) { return factor_.data() + i * capacity_; }
  const double* row(int64_t i) const { return factor_.data() + i * capacity_; }

  std::vector<double> factor_;  ///< rows of L, capacity_ apart
  std::vector<double> side_;    ///< y
  int64_t capacity_ = 0;
};

}  // namespace limbeck
