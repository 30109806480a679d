/// Vector helpers of the AVX-512 kernels: loads of 32 elements, exp, transposition.
///
/// Included by *_avx512.cpp only. All of it is in an anonymous namespace (see bf16.h), and no
/// standard library function is used.
#pragma once

#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/fast_math.h"

#include <immintrin.h>

#include <cstdint>

namespace limbeck {
namespace {

/// 32 consecutive elements as two vectors of float32. A bfloat16 pair in one 32-bit lane is split
/// by a shift and a mask, one instruction each, so `a` holds the even elements and `b` the odd
/// ones; for float32 `a` holds elements 0-15 and `b` 16-31. "Pair order" below is this order.
struct Pair {
  __m512 a, b;
};

inline __m512 even_of(__m512i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
inline __m512 odd_of(__m512i x) {
  return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
}

inline Pair load_pair(const Bf16* p) {
  const __m512i x = _mm512_loadu_si512(p);
  return {even_of(x), odd_of(x)};
}
inline Pair load_pair(const float* p) { return {_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)}; }

/// Only the elements whose bits are set are read; the others are 0.
inline Pair load_pair(const Bf16* p, __mmask32 mask) {
  const __m512i x = _mm512_maskz_loadu_epi16(mask, p);
  return {even_of(x), odd_of(x)};
}
inline Pair load_pair(const float* p, __mmask32 mask) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p),
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), p + 16)};
}

/// The first n (at most 32) bits.
inline __mmask32 first_bits(int64_t n) { return n >= 32 ? 0xffffffffU : (uint32_t{1} << n) - 1U; }

/// Keeps a value in a register: g++ would fold its load into every use and run out of load ports.
inline void pin(__m512& x) { __asm__("" : "+v"(x)); }

/// exp as fast_exp: relative error below 3e-7, 0 below kExpLowest, held above kExpHighest, NaN
/// kept.
inline __m512 exp_ps(__m512 x) {
  const __mmask16 normal = _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpLowest), _CMP_NLT_UQ);
  x = _mm512_min_ps(_mm512_set1_ps(kExpHighest), x);  // in this order NaN stays
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)), 0);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 p = _mm512_set1_ps(kExpPoly[4]);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPoly[3]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPoly[2]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPoly[1]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPoly[0]));
  p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r);
  p = _mm512_add_ps(p, _mm512_set1_ps(1.0F));
  return _mm512_maskz_scalef_ps(normal, p, n);
}

/// 2^x for finite x, relative error below 2e-7.
inline __m512 exp2_finite_ps(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, 0), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(kExp2Poly[4]);
  for (int i = 3; i >= 0; --i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2Poly[i]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, n);
}

/// 2^x for x <= 0, 0 for -inf, NaN kept.
inline __m512 exp2_ps(__m512 x) {
  return exp2_finite_ps(_mm512_max_ps(_mm512_set1_ps(-151.0F), x));  // in this order NaN stays
}

/// Transposes 16 rows of 16 32-bit lanes.
inline void transpose16(__m512i (&r)[16]) {
  __m512i t[16], u[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {  // u[4i + j]: column 4L + j of rows 4i to 4i + 3 in 128-bit lane L
    u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    const __m512i low02 = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88);
    const __m512i low13 = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd);
    const __m512i high02 = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
    const __m512i high13 = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
    r[j] = _mm512_shuffle_i32x4(low02, high02, 0x88);
    r[4 + j] = _mm512_shuffle_i32x4(low13, high13, 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(low02, high02, 0xdd);
    r[12 + j] = _mm512_shuffle_i32x4(low13, high13, 0xdd);
  }
}

}  // namespace
}  // namespace limbeck
