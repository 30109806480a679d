/// The work of one thread in a matrix-vector product: a range of output features.
///
/// Private to the kernels; included by sources compiled for AVX2 and AVX-512 (see bf16.h), hence
/// plain pointers, an anonymous namespace and no standard library.
#pragma once

#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/fast_math.h"
#include "limbeck/model/kernels/linear.h"

#include <cstdint>

namespace limbeck {

/// Rows of x are padded with zeros to a multiple of this many floats.
constexpr int64_t kLinearStep = 32;

struct LinearRange {
  const void* weight;
  const void* bias;  ///< or null
  int64_t in_features, out_features;
  int64_t rows;    ///< 1 to kLinearRowsMax
  const float* x;  ///< [rows, x_stride], in the order that the kernel set asks for
  int64_t x_stride;
  float* out;  ///< [rows, out_features]
  bool accumulate;
  Activation activation;  ///< of the gated form
  int64_t begin, end;     ///< output features of this range
};

using LinearKernel = void (*)(const LinearRange&);

struct LinearKernels {
  LinearKernel linear_bf16, linear_f32, gated_bf16, gated_f32;
  /// With bf16 weights every 32 elements of x come as 16 even ones, then 16 odd ones.
  bool split_pairs;
};
extern const LinearKernels kLinearPortable;
extern const LinearKernels kLinearAvx2;
extern const LinearKernels kLinearAvx512;

namespace {

/// Dots::run<T, O, R>(w, a, dots): dots[o * R + r] = w[o] . x[r]. The sum of one output is formed
/// in the same order whatever O and R are, so a row's result does not depend on how many there are.
/// Dots::kTogether<R>: output features computed together, as many as the registers hold.
template <class Dots, class T, int O, int R>
void linear_tile(const LinearRange& a, int64_t o) {
  const T* w[O];
  for (int i = 0; i < O; ++i) w[i] = static_cast<const T*>(a.weight) + (o + i) * a.in_features;
  float dots[O * R];
  Dots::template run<T, O, R>(w, a, dots);
  const T* bias = static_cast<const T*>(a.bias);
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < O; ++i) {
      float* to = a.out + r * a.out_features + o + i;
      const float y = bias ? dots[i * R + r] + to_float(bias[o + i]) : dots[i * R + r];
      *to = a.accumulate ? *to + y : y;
    }
}

template <class Dots, class T, int O, int R>
void gated_tile(const LinearRange& a, int64_t o) {
  const T* w[2 * O];
  for (int i = 0; i < O; ++i) {
    w[i] = static_cast<const T*>(a.weight) + (o + i) * a.in_features;
    w[O + i] = w[i] + a.out_features * a.in_features;
  }
  float dots[2 * O * R];
  Dots::template run<T, 2 * O, R>(w, a, dots);
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < O; ++i) {
      const float gate = dots[i * R + r], up = dots[(O + i) * R + r];
      const float act = a.activation == Activation::silu ? fast_silu(gate) : fast_gelu_tanh(gate);
      a.out[r * a.out_features + o + i] = act * up;
    }
}

template <class Dots, class T, int R>
void linear_rows_of(const LinearRange& a) {
  constexpr int kO = Dots::template kTogether<R>;
  int64_t o = a.begin;
  for (; o + kO <= a.end; o += kO) linear_tile<Dots, T, kO, R>(a, o);
  for (; o < a.end; ++o) linear_tile<Dots, T, 1, R>(a, o);
}

template <class Dots, class T, int R>
void gated_rows_of(const LinearRange& a) {
  constexpr int kO = Dots::template kTogether < R >> 1 ? Dots::template kTogether<R> / 2 : 1;
  int64_t o = a.begin;
  for (; o + kO <= a.end; o += kO) gated_tile<Dots, T, kO, R>(a, o);
  for (; o < a.end; ++o) gated_tile<Dots, T, 1, R>(a, o);
}

template <class Dots, class T>
void linear_range(const LinearRange& a) {
  constexpr LinearKernel kByRows[] = {linear_rows_of<Dots, T, 1>, linear_rows_of<Dots, T, 2>,
                                      linear_rows_of<Dots, T, 3>, linear_rows_of<Dots, T, 4>,
                                      linear_rows_of<Dots, T, 5>, linear_rows_of<Dots, T, 6>,
                                      linear_rows_of<Dots, T, 7>, linear_rows_of<Dots, T, 8>};
  kByRows[a.rows - 1](a);
}

template <class Dots, class T>
void gated_range(const LinearRange& a) {
  constexpr LinearKernel kByRows[] = {gated_rows_of<Dots, T, 1>, gated_rows_of<Dots, T, 2>,
                                      gated_rows_of<Dots, T, 3>, gated_rows_of<Dots, T, 4>,
                                      gated_rows_of<Dots, T, 5>, gated_rows_of<Dots, T, 6>,
                                      gated_rows_of<Dots, T, 7>, gated_rows_of<Dots, T, 8>};
  kByRows[a.rows - 1](a);
}

}  // namespace
}  // namespace limbeck
