#include "limbeck/model/kernels/avx2_ops.h"
#include "limbeck/model/kernels/softmax_block_loop.h"

namespace limbeck {
namespace {

/// Rounds 16 non-negative numbers to bf16, halves up.
inline __m256i round_bf16(__m256 low, __m256 high) {
  const __m256i half = _mm256_set1_epi32(0x8000);
  const __m256i a = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(low), half), 16),
                b = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(high), half), 16);
  // Packs within halves of 128 bits, hence the permutation.
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

/// 2^x for x <= 0, relative error below 2e-7, 0 where the result is not a normal number, NaN kept.
inline __m256 exp2_ps(__m256 x) {
  const __m256 lowest = _mm256_set1_ps(-126.0F);
  const __m256 normal = _mm256_cmp_ps(x, lowest, _CMP_NLT_UQ);
  x = _mm256_max_ps(lowest, x);  // in this order NaN stays
  const __m256 n = round_to_whole(x), r = _mm256_sub_ps(x, n);
  __m256 p = _mm256_set1_ps(kExp2Poly[4]);
  for (int i = 3; i >= 0; --i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2Poly[i]));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
  return _mm256_and_ps(normal, scale_by_power(p, n));
}

/// Weights and log-sum-exp of row r; its logits become the weights in f32.
void weigh_row(const SoftmaxBlock& b, int64_t r) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  const __m256 scale = _mm256_set1_ps(b.scale), log2e = _mm256_set1_ps(kLog2E);
  const int64_t columns = b.visible != nullptr ? b.visible[r] : b.columns;
  float* s = b.logits + r * b.stride;
  // The logits are read twice rather than scaled in memory: loads are cheaper than stores.
  const auto logit = [&](int64_t j) {
    const __m256 x = _mm256_mul_ps(_mm256_loadu_ps(s + j), scale);
    if (b.bias == nullptr) return x;
    return _mm256_add_ps(x, load_first(b.bias + j, columns - j));
  };
  const int64_t whole = columns / 16 * 16;
  const __m256 last_a = _mm256_castsi256_ps(first_lanes(columns - whole)),
               last_b = _mm256_castsi256_ps(first_lanes(columns - whole - 8));
  __m256 top_a = lowest, top_b = lowest;
  for (int64_t j = 0; j < whole; j += 16) {
    top_a = _mm256_max_ps(top_a, logit(j));
    top_b = _mm256_max_ps(top_b, logit(j + 8));
  }
  if (whole < columns) {
    top_a = _mm256_max_ps(top_a, _mm256_blendv_ps(lowest, logit(whole), last_a));
    top_b = _mm256_max_ps(top_b, _mm256_blendv_ps(lowest, logit(whole + 8), last_b));
  }
  const float top = reduce_max(_mm256_max_ps(top_a, top_b));
  const __m256 shift = _mm256_set1_ps(top > -__builtin_inff() ? top : 0.0F);
  // Subtracted first: the difference keeps its digits, whatever the size of the logits.
  const auto power = [&](int64_t j) {
    return exp2_ps(_mm256_mul_ps(_mm256_sub_ps(logit(j), shift), log2e));
  };
  __m256 mass_a = _mm256_setzero_ps(), mass_b = _mm256_setzero_ps();
  auto* p = reinterpret_cast<uint16_t*>(b.weights + r * b.stride);
  const auto store = [&](int64_t j, __m256 x, __m256 y) {
    _mm256_storeu_ps(s + j, x);
    _mm256_storeu_ps(s + j + 8, y);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + j), round_bf16(x, y));
    mass_a = _mm256_add_ps(mass_a, x);
    mass_b = _mm256_add_ps(mass_b, y);
  };
  for (int64_t j = 0; j < whole; j += 16) store(j, power(j), power(j + 8));
  int64_t done = whole;
  if (whole < columns) {
    store(whole, _mm256_and_ps(last_a, power(whole)), _mm256_and_ps(last_b, power(whole + 8)));
    done += 16;
  }
  for (; done < b.stride; done += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + done), _mm256_setzero_si256());
  const float mass = reduce_add(_mm256_add_ps(mass_a, mass_b));
  b.inverse[r] = mass > 0 ? 1.0F / mass : 0.0F;
  b.lse[r] = mass > 0 ? top + __builtin_logf(mass) : -__builtin_inff();
}

/// Raises the columns' best by N rows from r on, whose weights become probabilities by `factor`.
/// Few columns rise once many rows have passed: the rows are compared together first.
template <int N>
void raise_best(const SoftmaxBlock& b, int64_t r, const float* factor) {
  const float* s = b.logits + r * b.stride;
  __m256 f[N];
  for (int i = 0; i < N; ++i) f[i] = _mm256_set1_ps(factor[i]);
  for (int64_t j = 0; j < b.columns; j += 8) {
    __m256 y[N];
    for (int i = 0; i < N; ++i) y[i] = _mm256_mul_ps(_mm256_loadu_ps(s + i * b.stride + j), f[i]);
    __m256 top = y[0];
    for (int i = 1; i < N; ++i) top = _mm256_max_ps(top, y[i]);
    const __m256i mask = first_lanes(b.columns - j);
    __m256 best = _mm256_maskload_ps(b.best + j, mask);
    const auto above = [&](__m256 x) {
      return _mm256_and_ps(_mm256_castsi256_ps(mask), _mm256_cmp_ps(x, best, _CMP_GT_OQ));
    };
    if (_mm256_movemask_ps(above(top)) == 0) continue;
    for (int i = 0; i < N; ++i) {
      const __m256 higher = above(y[i]);
      best = _mm256_blendv_ps(best, y[i], higher);
      _mm256_maskstore_epi32(b.best_row + j, _mm256_castps_si256(higher),
                             _mm256_set1_epi32(static_cast<int>(b.first_row + r + i)));
    }
    _mm256_maskstore_ps(b.best + j, mask, best);
  }
}

struct Avx2Rows {
  static void weigh(const SoftmaxBlock& b, int64_t r) { weigh_row(b, r); }
  template <int N>
  static void raise(const SoftmaxBlock& b, int64_t r, const float* factor) {
    raise_best<N>(b, r, factor);
  }
};

}  // namespace

void softmax_block_avx2(const SoftmaxBlock& b) { softmax_rows<Avx2Rows>(b); }

}  // namespace limbeck
