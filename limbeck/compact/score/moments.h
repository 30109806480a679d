/// Mean and scatter of many rows, block by block: only one block and a [D, D] matrix are held.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace limbeck {

/// Sums of squares about the mean, merged in f64: subtracting N m m^T from raw sums would cancel
/// everything on keys with a large common part.
class Moments {
 public:
  explicit Moments(int64_t dim);
  /// Rows [n, D] of any float type, weights [n] f32 >= 0 or undefined: all 1.
  void add(const at::Tensor& rows, const at::Tensor& weights = {});
  double weight() const { return weight_; }               ///< sum of the weights
  const at::Tensor& mean() const { return mean_; }        ///< [D] f64
  const at::Tensor& scatter() const { return scatter_; }  ///< [D, D] f64: sum w (x - m)(x - m)^T

 private:
  double weight_ = 0;
  at::Tensor mean_, scatter_;
};

}  // namespace limbeck
