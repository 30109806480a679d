#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/rowwise.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace limbeck {
namespace {

double read(const void* data, DType type, int64_t i) {
  return type == DType::f32 ? static_cast<const float*>(data)[i]
                            : to_float(static_cast<const Bf16*>(data)[i]);
}

void write(void* data, DType type, int64_t i, double x) {
  if (type == DType::f32) {
    static_cast<float*>(data)[i] = static_cast<float>(x);
  } else {
    static_cast<Bf16*>(data)[i] = to_bf16(static_cast<float>(x));
  }
}

/// One head of queries or keys, from offset `in` of qkv to offset `out`.
void rope_head(const SplitRope& a, int64_t row, int64_t in, const float* norm, void* to,
               int64_t out) {
  const int64_t d = a.head_dim, half = d / 2;
  double mean = 0;
  for (int64_t i = 0; i < d; ++i) mean += std::pow(read(a.qkv, a.dtype, in + i), 2) / double(d);
  const auto normed = [&](int64_t i) {
    const double x = read(a.qkv, a.dtype, in + i);
    return norm ? x / std::sqrt(mean + a.norm_eps) * (double(norm[i]) + a.norm_offset) : x;
  };
  for (int64_t i = 0; i < d; ++i) {
    double y = normed(i);
    if (a.cos) {
      const int64_t j = row * half + i % half;
      const double other = i < half ? -normed(i + half) : normed(i - half);
      y = y * a.cos[j] + other * a.sin[j];
    }
    write(to, a.dtype, out + i, y);
  }
}

}  // namespace

void add_norm_reference(const AddNorm& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    double mean = 0;
    for (int64_t i = r * a.width; i < (r + 1) * a.width; ++i) {
      if (a.delta) a.residual[i] += static_cast<float>(read(a.delta, a.dtype, i));
      mean += double(a.residual[i]) * a.residual[i] / double(a.width);
    }
    const double rms = std::sqrt(mean + a.eps);
    for (int64_t i = 0; i < a.width; ++i)
      write(a.out, a.dtype, r * a.width + i,
            a.residual[r * a.width + i] / rms * (double(a.weight[i]) + a.weight_offset));
  }
}

void split_rope_reference(const SplitRope& a) {
  const int64_t d = a.head_dim;
  for (int64_t r = 0; r < a.rows; ++r) {
    int64_t in = r * (a.query_heads + 2 * a.kv_heads) * d;
    for (int64_t h = 0; h < a.query_heads; ++h, in += d)
      rope_head(a, r, in, a.q_norm, a.q, r * a.q_row_stride + h * a.q_head_stride);
    for (int64_t h = 0; h < a.kv_heads; ++h, in += d)
      rope_head(a, r, in, a.k_norm, a.k, r * a.kv_row_stride + h * a.kv_head_stride);
    for (int64_t h = 0; h < a.kv_heads; ++h, in += d)
      for (int64_t i = 0; i < d; ++i)
        write(a.v, a.dtype, r * a.kv_row_stride + h * a.kv_head_stride + i,
              read(a.qkv, a.dtype, in + i));
  }
}

void gated_activation_reference(const GatedActivation& a) {
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t o = 0; o < a.width; ++o) {
      const double gate = read(a.gate_up, a.dtype, r * 2 * a.width + o);
      const double up = read(a.gate_up, a.dtype, r * 2 * a.width + a.width + o);
      double u = gate;  // silu: x * sigmoid(x); gelu_tanh: x * sigmoid(2u)
      if (a.activation == Activation::gelu_tanh)
        u = 2 * std::sqrt(2 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
      write(a.out, a.dtype, r * a.width + o, gate / (1 + std::exp(-u)) * up);
    }
}

void merge_attention_reference(int64_t rows, int64_t width, float* accumulator, float* acc_lse,
                               const void* part, DType dtype, const float* part_lse) {
  constexpr double kMinusInf = -std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < rows; ++r) {
    const double ours = acc_lse[r], theirs = part_lse[r], top = std::max(ours, theirs);
    if (top == kMinusInf) continue;
    const double lse = top + std::log(std::exp(ours - top) + std::exp(theirs - top));
    for (int64_t i = r * width; i < (r + 1) * width; ++i) {
      double y = 0;
      if (ours > kMinusInf) y += std::exp(ours - lse) * accumulator[i];
      if (theirs > kMinusInf) y += std::exp(theirs - lse) * read(part, dtype, i);
      accumulator[i] = static_cast<float>(y);
    }
    acc_lse[r] = static_cast<float>(lse);
  }
}

}  // namespace limbeck
