// The slice kernel in plain C++: short loops over contiguous floats, which compilers vectorise.
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/fast_math.h"

#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr float kMinusInf = -std::numeric_limits<float>::infinity();
constexpr int64_t kMaxStride = 512;

template <class T>
void widen(const T* row, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_float(row[i]);
}

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// Turns the block's scores into weights exp(score - top) and updates top and mass.
/// Returns the factor by which the head's earlier sums shrink.
float weigh(float* score, const float* bias, int64_t n, float softcap, float* top, float* mass) {
  if (softcap != 0)
    for (int64_t j = 0; j < n; ++j) score[j] = softcap * std::tanh(score[j] / softcap);
  if (bias)
    for (int64_t j = 0; j < n; ++j) score[j] += bias[j];
  float highest = *top;
  for (int64_t j = 0; j < n; ++j) highest = score[j] > highest ? score[j] : highest;
  const float shift = highest == kMinusInf ? 0.0F : highest;  // -inf - -inf would be NaN
  float sum = 0;
  for (int64_t j = 0; j < n; ++j) score[j] = fast_exp(score[j] - shift);
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) sum += score[j];
  const float shrink = fast_exp(*top - shift);
  *top = highest;
  *mass = *mass * shrink + sum;
  return shrink;
}

template <class T>
void slice(const AttentionSlice& a) {
  const int64_t d = a.head_dim;
  float row[kMaxStride];
  float score[kSliceHeadsMax][kSliceBlock];
  for (int64_t h = 0; h < a.heads; ++h) {
    a.top[h] = kMinusInf;
    a.mass[h] = 0;
    for (int64_t i = 0; i < a.stride; ++i) a.sum[h * a.stride + i] = 0;
  }
  for (int64_t first = 0; first < a.slots; first += kSliceBlock) {
    const int64_t n = a.slots - first < kSliceBlock ? a.slots - first : kSliceBlock;
    const T* keys = static_cast<const T*>(a.keys) + first * d;
    const T* values = static_cast<const T*>(a.values) + first * d;
    for (int64_t j = 0; j < n; ++j) {
      widen(keys + j * d, d, row);
      for (int64_t h = 0; h < a.heads; ++h) score[h][j] = dot(a.query + h * a.stride, row, d);
    }
    for (int64_t h = 0; h < a.heads; ++h) {
      const float* bias = a.bias ? a.bias + first : nullptr;
      const float shrink = weigh(score[h], bias, n, a.softcap, a.top + h, a.mass + h);
      if (shrink != 1.0F)
        for (int64_t i = 0; i < d; ++i) a.sum[h * a.stride + i] *= shrink;
    }
    for (int64_t j = 0; j < n; ++j) {
      widen(values + j * d, d, row);
      for (int64_t h = 0; h < a.heads; ++h) {
        const float p = score[h][j];
        float* sum = a.sum + h * a.stride;
        for (int64_t i = 0; i < d; ++i) sum[i] += p * row[i];
      }
    }
  }
}

}  // namespace

const SliceKernels kSlicePortable{slice<Bf16>, slice<float>};

}  // namespace limbeck
