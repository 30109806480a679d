/// The row-wise operations, one row at a time, as plain loops.
///
/// Private. Included by rowwise_portable.cpp, rowwise_avx2.cpp and rowwise_avx512.cpp, which differ
/// in their compiler flags only; everything is in an anonymous namespace so that the copies stay
/// apart (bf16.h).
#pragma once

#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/fast_math.h"
#include "limbeck/model/kernels/rowwise.h"

#include <math.h>  // the C functions: std:: overloads would be shared between sources

#include <cstdint>

namespace limbeck {

struct MergeAttention {
  int64_t width;
  float* accumulator;
  float* acc_lse;
  const void* part;
  const float* part_lse;
};

/// Each function does row `row` of its operation.
struct RowwiseKernels {
  void (*add_norm)(const AddNorm&, int64_t row);
  void (*split_rope)(const SplitRope&, int64_t row);
  void (*gated_activation)(const GatedActivation&, int64_t row);
  void (*merge_attention)(const MergeAttention&, int64_t row);
};
extern const RowwiseKernels kRowwisePortableBf16, kRowwisePortableF32;
extern const RowwiseKernels kRowwiseAvx2Bf16, kRowwiseAvx2F32;
extern const RowwiseKernels kRowwiseAvx512Bf16, kRowwiseAvx512F32;

namespace {

template <class T>
void add_norm_row(const AddNorm& a, int64_t row) {
  float* __restrict x = a.residual + row * a.width;
  float square = 0;
  if (a.delta) {
    const T* __restrict delta = static_cast<const T*>(a.delta) + row * a.width;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < a.width; ++i) {
      x[i] += to_float(delta[i]);
      square += x[i] * x[i];
    }
  } else {
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < a.width; ++i) square += x[i] * x[i];
  }
  const float inverse = 1.0F / sqrtf(square / static_cast<float>(a.width) + a.eps);
  const float* __restrict weight = a.weight;
  T* __restrict out = static_cast<T*>(a.out) + row * a.width;
  for (int64_t i = 0; i < a.width; ++i)
    store(out + i, x[i] * inverse * (weight[i] + a.weight_offset));
}

template <class T>
float inverse_rms(const T* x, int64_t n, float eps) {
  float square = 0;
#pragma omp simd reduction(+ : square)
  for (int64_t i = 0; i < n; ++i) square += to_float(x[i]) * to_float(x[i]);
  return 1.0F / sqrtf(square / static_cast<float>(n) + eps);
}

/// Norm and rotation of one head. `scale` is weight + offset over the rms, written out by the
/// caller.
template <class T>
void rotate(const T* __restrict x, const float* __restrict scale, const float* __restrict cos,
            const float* __restrict sin, int64_t half, T* __restrict out) {
  for (int64_t j = 0; j < half; ++j) {
    const float first = to_float(x[j]) * scale[j], second = to_float(x[half + j]) * scale[half + j];
    store(out + j, first * cos[j] - second * sin[j]);
    store(out + half + j, second * cos[j] + first * sin[j]);
  }
}

template <class T>
void rope_head(const SplitRope& a, const T* x, const float* norm, int64_t row, T* out) {
  constexpr int64_t kWide = 1024;  // floats on the stack; check() keeps head_dim below
  float scale[kWide];
  const int64_t d = a.head_dim;
  if (norm) {
    const float inverse = inverse_rms(x, d, a.norm_eps);
    for (int64_t i = 0; i < d; ++i) scale[i] = inverse * (norm[i] + a.norm_offset);
  } else {
    for (int64_t i = 0; i < d; ++i) scale[i] = 1.0F;
  }
  if (a.cos) {
    rotate(x, scale, a.cos + row * (d / 2), a.sin + row * (d / 2), d / 2, out);
  } else {
    for (int64_t i = 0; i < d; ++i) store(out + i, to_float(x[i]) * scale[i]);
  }
}

template <class T>
void split_rope_row(const SplitRope& a, int64_t row) {
  const int64_t d = a.head_dim;
  const T* x = static_cast<const T*>(a.qkv) + row * (a.query_heads + 2 * a.kv_heads) * d;
  T* q = static_cast<T*>(a.q) + row * a.q_row_stride;
  T* k = static_cast<T*>(a.k) + row * a.kv_row_stride;
  T* v = static_cast<T*>(a.v) + row * a.kv_row_stride;
  for (int64_t h = 0; h < a.query_heads; ++h, x += d)
    rope_head(a, x, a.q_norm, row, q + h * a.q_head_stride);
  for (int64_t h = 0; h < a.kv_heads; ++h, x += d)
    rope_head(a, x, a.k_norm, row, k + h * a.kv_head_stride);
  for (int64_t h = 0; h < a.kv_heads; ++h, x += d)
    __builtin_memcpy(v + h * a.kv_head_stride, x, static_cast<size_t>(d) * sizeof(T));
}

template <class T, Activation A>
void activate(const T* __restrict gate, const T* __restrict up, int64_t n, T* __restrict out) {
  for (int64_t i = 0; i < n; ++i)
    store(out + i, fast_activation<A>(to_float(gate[i])) * to_float(up[i]));
}

template <class T>
void gated_activation_row(const GatedActivation& a, int64_t row) {
  const T* gate = static_cast<const T*>(a.gate_up) + row * 2 * a.width;
  T* out = static_cast<T*>(a.out) + row * a.width;
  if (a.activation == Activation::silu) {
    activate<T, Activation::silu>(gate, gate + a.width, a.width, out);
  } else {
    activate<T, Activation::gelu_tanh>(gate, gate + a.width, a.width, out);
  }
}

template <class T>
void merge_attention_row(const MergeAttention& a, int64_t row) {
  const float ours = a.acc_lse[row], theirs = a.part_lse[row];
  if (theirs == -__builtin_inff()) return;  // an empty part's row may hold anything
  float* __restrict out = a.accumulator + row * a.width;
  const T* __restrict part = static_cast<const T*>(a.part) + row * a.width;
  const float top = ours > theirs ? ours : theirs;
  const float lse = top + logf(expf(ours - top) + expf(theirs - top));
  const float keep = expf(ours - lse), add = expf(theirs - lse);
  a.acc_lse[row] = lse;
  if (keep == 0.0F) {  // an empty accumulator may hold anything, too
    for (int64_t i = 0; i < a.width; ++i) out[i] = add * to_float(part[i]);
  } else {
    for (int64_t i = 0; i < a.width; ++i) out[i] = keep * out[i] + add * to_float(part[i]);
  }
}

template <class T>
constexpr RowwiseKernels kRowwiseOf{add_norm_row<T>, split_rope_row<T>, gated_activation_row<T>,
                                    merge_attention_row<T>};

}  // namespace
}  // namespace limbeck
