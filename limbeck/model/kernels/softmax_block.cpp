#include "limbeck/model/kernels/softmax_block.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/fast_math.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace limbeck {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

int64_t columns_of(const SoftmaxBlock& b, int64_t r) {
  return b.visible != nullptr ? b.visible[r] : b.columns;
}

void finish_row(const SoftmaxBlock& b, int64_t r, float top, float mass) {
  float* s = b.logits + r * b.stride;
  Bf16* p = b.weights + r * b.stride;
  const float inverse = mass > 0 ? 1.0F / mass : 0.0F;
  b.inverse[r] = inverse;
  b.lse[r] = mass > 0 ? top + std::log(mass) : kMinusInfinity;
  const float part = b.elsewhere != nullptr ? softmax_block_part(b.lse[r], b.elsewhere[r]) : 1.0F;
  const int64_t columns = columns_of(b, r);
  for (int64_t j = 0; j < columns; ++j) {
    p[j] = to_bf16(s[j]);
    const float x = s[j] * (inverse * part);
    if (b.best != nullptr && x > b.best[j]) {
      b.best[j] = x;
      b.best_row[j] = static_cast<int32_t>(b.first_row + r);
    }
  }
  std::fill(p + columns, p + b.stride, Bf16{0});
}

}  // namespace

float softmax_block_part(float lse, float elsewhere) {
  if (lse == kMinusInfinity) return 0.0F;
  return 1.0F / (1.0F + std::exp(std::min(elsewhere - lse, 80.0F)));
}

void softmax_block(const SoftmaxBlock& block) {
  switch (cpu_path()) {
    case CpuPath::portable: return softmax_block_portable(block);
    case CpuPath::avx2: return softmax_block_avx2(block);
    default: return softmax_block_avx512(block);
  }
}

void softmax_block_portable(const SoftmaxBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const int64_t columns = columns_of(b, r);
    float* s = b.logits + r * b.stride;
    float top = kMinusInfinity;
    for (int64_t j = 0; j < columns; ++j) {
      s[j] = s[j] * b.scale + (b.bias != nullptr ? b.bias[j] : 0.0F);
      top = std::max(top, s[j]);
    }
    float mass = 0;
    for (int64_t j = 0; j < columns; ++j)
      mass += s[j] = top > kMinusInfinity ? fast_exp(s[j] - top) : 0.0F;
    finish_row(b, r, top, mass);
  }
}

void softmax_block_reference(const SoftmaxBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const int64_t columns = columns_of(b, r);
    float* s = b.logits + r * b.stride;
    std::vector<double> x(columns);
    double top = -std::numeric_limits<double>::infinity(), mass = 0;
    for (int64_t j = 0; j < columns; ++j) {
      x[j] = static_cast<double>(s[j]) * b.scale + (b.bias != nullptr ? b.bias[j] : 0.0);
      top = std::max(top, x[j]);
    }
    for (int64_t j = 0; j < columns; ++j)
      mass += x[j] = std::isfinite(top) ? std::exp(x[j] - top) : 0.0;
    for (int64_t j = 0; j < columns; ++j) s[j] = static_cast<float>(x[j]);
    finish_row(b, r, static_cast<float>(top), static_cast<float>(mass));
  }
}

}  // namespace limbeck
