#include "limbeck/compact/score/moments.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {

Moments::Moments(int64_t dim)
    : mean_(at::zeros({dim}, at::kDouble)), scatter_(at::zeros({dim, dim}, at::kDouble)) {}

void Moments::add(const at::Tensor& rows, const at::Tensor& weights) {
  constexpr int64_t kRows = 512;
  for (int64_t at = 0; at < rows.size(0); at += kRows) {
    const int64_t n = std::min(kRows, rows.size(0) - at);
    const at::Tensor x = rows.narrow(0, at, n).to(at::kDouble);
    const at::Tensor w =
        weights.defined() ? weights.narrow(0, at, n).to(at::kDouble) : at::ones({n}, at::kDouble);
    const double sum = w.sum().item<double>();
    if (sum <= 0) continue;
    const at::Tensor mean = at::mv(x.t(), w) / sum, centred = x - mean;
    const at::Tensor shift = mean - mean_;
    scatter_ += at::mm(centred.t(), centred * w.unsqueeze(1)) +
                at::ger(shift, shift) * (weight_ * sum / (weight_ + sum));
    mean_ += shift * (sum / (weight_ + sum));
    weight_ += sum;
  }
}

}  // namespace limbeck
