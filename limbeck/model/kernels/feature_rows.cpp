#include "limbeck/model/kernels/feature_rows.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/feature_rows_loop.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace limbeck {
namespace {

const FeatureKernels& kernels() {
  switch (cpu_path()) {
    case CpuPath::portable: return kFeaturesPortable;
    case CpuPath::avx2: return kFeaturesAvx2;
    default: return kFeaturesAvx512;
  }
}

/// Block after block; squares are summed in f32 within one.
template <class Features>
void by_blocks(const Features& f, void (*kernel)(const Features&, int64_t, int64_t, float*)) {
  std::fill_n(f.squares, f.columns, 0.0);
  std::vector<float> sums(static_cast<size_t>(f.columns));
  for (int64_t i = 0; i < f.rows; i += kFeatureBlock) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    kernel(f, i, std::min(kFeatureBlock, f.rows - i), sums.data());
    for (int64_t j = 0; j < f.columns; ++j) f.squares[j] += double{sums[static_cast<size_t>(j)]};
  }
}

}  // namespace

void weigh_features(const WeighFeatures& f) { by_blocks(f, kernels().weigh); }

void turn_features(const TurnFeatures& f) {
  by_blocks(f, kernels().turn);
  for (int64_t j = 0; j < f.columns; ++j)
    std::fill(f.turned + j * f.padded + f.rows, f.turned + (j + 1) * f.padded, Bf16{0});
}

void weigh_features_reference(const WeighFeatures& f) {
  std::fill_n(f.squares, f.columns, 0.0);
  for (int64_t i = 0; i < f.rows; ++i)
    for (int64_t j = 0; j < f.columns; ++j) {
      float& x = f.x[i * f.columns + j];
      const double logit = double{x} * f.scale + (f.bias != nullptr ? f.bias[j] : 0.0F);
      const double y = f.factor[i] * std::exp(logit - f.shift[i]);
      x = static_cast<float>(y);
      f.squares[j] += y * y;
    }
}

void turn_features_reference(const TurnFeatures& f) {
  std::fill_n(f.squares, f.columns, 0.0);
  for (int64_t j = 0; j < f.columns; ++j)
    for (int64_t i = 0; i < f.padded; ++i) {
      const Bf16 y = i < f.rows ? to_bf16(f.x[i * f.columns + j]) : Bf16{0};
      f.turned[j * f.padded + i] = y;
      f.squares[j] += double{to_float(y)} * to_float(y);
    }
}

}  // namespace limbeck
