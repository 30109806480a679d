// The same source as feature_rows_portable.cpp, compiled with AVX-512 flags, but for turning rows:
// two rows at once are pairs of bf16, and what is transposed are 32-bit lanes.
#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/feature_rows_loop.h"

namespace limbeck {
namespace {

/// to_bf16() in the lower halves of the lanes.
inline __m512i round_bf16(__m512 x) {
  const __m512i u = _mm512_castps_si512(x), upper = _mm512_srli_epi32(u, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
  return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), upper,
                              _mm512_set1_epi32(0x40));
}

void turn_pairs(const TurnFeatures& f, int64_t first, int64_t count, float* sums) {
  const __mmask32 real = first_bits(count);
  for (int64_t j = 0; j < f.columns; j += 16) {
    const auto inside = static_cast<__mmask16>(first_bits(f.columns - j));
    const auto load = [&](int64_t i) {
      return i < count ? _mm512_maskz_loadu_ps(inside, f.x + (first + i) * f.columns + j)
                       : _mm512_setzero_ps();
    };
    __m512 sum = _mm512_maskz_loadu_ps(inside, sums + j);
    __m512i row[16];
    for (int64_t i = 0; i < 16; ++i) {
      const __m512i even = round_bf16(load(2 * i)), odd = round_bf16(load(2 * i + 1));
      row[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
      const __m512 a = even_of(row[i]), b = odd_of(row[i]);
      sum = _mm512_fmadd_ps(b, b, _mm512_fmadd_ps(a, a, sum));
    }
    _mm512_mask_storeu_ps(sums + j, inside, sum);
    transpose16(row);
    for (int64_t c = 0; c < 16 && j + c < f.columns; ++c)
      _mm512_mask_storeu_epi16(f.turned + (j + c) * f.padded + first, real, row[c]);
  }
}

}  // namespace

const FeatureKernels kFeaturesAvx512 = {weigh_rows, turn_pairs};

}  // namespace limbeck
