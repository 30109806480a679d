#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/linear.h"

#include <cmath>
#include <numbers>

namespace limbeck {
namespace {

double element(const void* data, DType type, int64_t i) {
  return type == DType::f32 ? static_cast<const float*>(data)[i]
                            : to_float(static_cast<const Bf16*>(data)[i]);
}

double dot(const LinearRows& a, int64_t r, int64_t o) {
  double sum = 0;
  for (int64_t i = 0; i < a.in_features; ++i)
    sum += a.x[r * a.in_features + i] * element(a.weight, a.dtype, o * a.in_features + i);
  return sum;
}

double activate(double x, Activation act) {
  if (act == Activation::silu) return x / (1 + std::exp(-x));
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / (1 + std::exp(-2 * u));  // = x/2 * (1 + tanh(u))
}

}  // namespace

void linear_rows_reference(const LinearRows& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t o = 0; o < a.out_features; ++o) {
      float& out = a.out[r * a.out_features + o];
      double y = dot(a, r, o);
      if (a.bias) y += element(a.bias, a.dtype, o);
      if (a.accumulate) y += out;
      out = static_cast<float>(y);
    }
}

void gated_rows_reference(const LinearRows& a, Activation act) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t o = 0; o < a.out_features; ++o)
      a.out[r * a.out_features + o] =
          static_cast<float>(activate(dot(a, r, o), act) * dot(a, r, a.out_features + o));
}

}  // namespace limbeck
