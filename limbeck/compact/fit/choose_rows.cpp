#include "limbeck/compact/fit/choose_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {

ChosenRows choose_rows(const at::Tensor& row_weights, int64_t uniform,
                       const std::vector<int32_t>& readers, double reader_weight,
                       const std::vector<uint8_t>& held) {
  const int64_t n = row_weights.size(0);
  const int64_t m = std::min(n, std::max<int64_t>(uniform, 1));
  const double stands_for = static_cast<double>(n) / static_cast<double>(m);
  std::vector<float> factor(n, 0.0F);
  for (int64_t i = 0; i < m; ++i) factor[i * n / m] = static_cast<float>(stands_for);
  std::vector<uint8_t> reads(n, 0);
  for (int32_t row : readers) reads[row] = 1;
  const float* own = row_weights.const_data_ptr<float>();
  std::vector<int64_t> index;
  std::vector<float> weights;
  ChosenRows out;
  for (int64_t i = 0; i < n; ++i) {
    if (factor[i] == 0 && reads[i] == 0) continue;
    index.push_back(i);
    const float reader = reads[i] != 0 ? static_cast<float>(reader_weight) : 0.0F;
    weights.push_back(own[i] * std::max(factor[i], reader));
    if (!held.empty()) out.held.push_back(reads[i] != 0 ? 0 : held[i]);
  }
  out.index = at::tensor(index, at::kLong);
  out.weights = at::tensor(weights, at::kFloat);
  return out;
}

}  // namespace limbeck
