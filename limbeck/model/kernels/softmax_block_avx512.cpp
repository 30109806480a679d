#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/softmax_block.h"

namespace limbeck {
namespace {

/// Rounds 16 non-negative numbers to bf16.
inline __m256i round_bf16(__m512 x) {
  const __m512i u = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16));
}

/// 2^x for x <= 0, relative error below 2e-7, 0 for -inf, NaN kept. The polynomial interpolates 2^r
/// at the Chebyshev points of [-1/2, 1/2].
inline __m512 exp2_ps(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-151.0F), x);  // in this order NaN stays
  const __m512 n = _mm512_roundscale_ps(x, 0), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.339086336e-3F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.676031918e-3F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.550357114e-2F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.402210749e-1F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931471880e-1F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, n);
}

}  // namespace

void softmax_block_avx512(const SoftmaxBlock& b) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  const __m512 scale = _mm512_set1_ps(b.scale), log2e = _mm512_set1_ps(kLog2E);
  for (int64_t r = 0; r < b.rows; ++r) {
    float* s = b.logits + r * b.stride;
    // The logits are read twice rather than scaled in memory: loads are cheaper than stores.
    const auto logit = [&](int64_t j, __mmask16 mask) {
      const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(s + j), scale);
      if (b.bias == nullptr) return x;
      return _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, b.bias + j));
    };
    const int64_t whole = b.columns / 32 * 32;
    const auto last_a = static_cast<__mmask16>(first_bits(b.columns - whole)),
               last_b = static_cast<__mmask16>(first_bits(b.columns - whole) >> 16);
    const __mmask16 all = 0xffff;
    __m512 top_a = lowest, top_b = lowest;
    for (int64_t j = 0; j < whole; j += 32) {
      top_a = _mm512_max_ps(top_a, logit(j, all));
      top_b = _mm512_max_ps(top_b, logit(j + 16, all));
    }
    if (whole < b.columns) {
      top_a = _mm512_mask_max_ps(top_a, last_a, top_a, logit(whole, last_a));
      top_b = _mm512_mask_max_ps(top_b, last_b, top_b, logit(whole + 16, last_b));
    }
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(top_a, top_b));
    const __m512 shift = _mm512_set1_ps(top > -__builtin_inff() ? top : 0.0F);
    // Subtracted first: the difference keeps its digits, whatever the size of the logits.
    const auto power = [&](int64_t j, __mmask16 mask) {
      return exp2_ps(_mm512_mul_ps(_mm512_sub_ps(logit(j, mask), shift), log2e));
    };
    __m512 mass_a = _mm512_setzero_ps(), mass_b = _mm512_setzero_ps();
    for (int64_t j = 0; j < whole; j += 32) {
      const __m512 x = power(j, all);
      const __m512 y = power(j + 16, all);
      _mm512_storeu_ps(s + j, x);
      _mm512_storeu_ps(s + j + 16, y);
      mass_a = _mm512_add_ps(mass_a, x);
      mass_b = _mm512_add_ps(mass_b, y);
    }
    if (whole < b.columns) {
      const __m512 x = _mm512_maskz_mov_ps(last_a, power(whole, last_a));
      const __m512 y = _mm512_maskz_mov_ps(last_b, power(whole + 16, last_b));
      _mm512_storeu_ps(s + whole, x);
      _mm512_storeu_ps(s + whole + 16, y);
      mass_a = _mm512_add_ps(mass_a, x);
      mass_b = _mm512_add_ps(mass_b, y);
    }
    const float mass = _mm512_reduce_add_ps(_mm512_add_ps(mass_a, mass_b));
    const __m512 inverse = _mm512_set1_ps(mass > 0 ? 1.0F / mass : 0.0F);
    b.lse[r] = mass > 0 ? top + __builtin_logf(mass) : -__builtin_inff();
    const __m512 part = _mm512_set1_ps(
        b.elsewhere != nullptr ? softmax_block_part(b.lse[r], b.elsewhere[r]) : 1.0F);
    const __m512i row = _mm512_set1_epi32(static_cast<int>(b.first_row + r));
    auto* p = reinterpret_cast<uint16_t*>(b.probabilities + r * b.stride);
    int64_t j = 0;
    for (; j < b.columns; j += 16) {
      const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(s + j), inverse);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + j), round_bf16(x));
      if (b.best == nullptr) continue;
      const __m512 y = _mm512_mul_ps(x, part);
      const auto mask = static_cast<__mmask16>(first_bits(b.columns - j));
      const __mmask16 higher =
          _mm512_mask_cmp_ps_mask(mask, y, _mm512_maskz_loadu_ps(mask, b.best + j), _CMP_GT_OQ);
      if (higher == 0) continue;
      _mm512_mask_storeu_ps(b.best + j, higher, y);
      _mm512_mask_storeu_epi32(b.best_row + j, higher, row);
    }
    for (; j < b.stride; j += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + j), _mm256_setzero_si256());
  }
}

}  // namespace limbeck
