#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/softmax_block_loop.h"

namespace limbeck {
namespace {

alignas(64) constexpr uint16_t kOddWords[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                45, 47, 49, 51, 53, 55, 57, 59, 61, 63};

/// Rounds 32 non-negative numbers to bf16, halves up.
inline __m512i round_bf16(__m512 low, __m512 high) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  return _mm512_permutex2var_epi16(_mm512_add_epi32(_mm512_castps_si512(low), half),
                                   _mm512_load_si512(kOddWords),
                                   _mm512_add_epi32(_mm512_castps_si512(high), half));
}

/// Weights and log-sum-exp of row r; its logits become the weights in f32.
void weigh_row(const SoftmaxBlock& b, int64_t r) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  const __m512 scale = _mm512_set1_ps(b.scale), log2e = _mm512_set1_ps(kLog2E);
  const int64_t columns = b.visible != nullptr ? b.visible[r] : b.columns;
  float* s = b.logits + r * b.stride;
  // The logits are read twice rather than scaled in memory: loads are cheaper than stores.
  const auto logit = [&](int64_t j, __mmask16 mask) {
    const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(s + j), scale);
    if (b.bias == nullptr) return x;
    return _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, b.bias + j));
  };
  const int64_t whole = columns / 32 * 32;
  const auto last_a = static_cast<__mmask16>(first_bits(columns - whole)),
             last_b = static_cast<__mmask16>(first_bits(columns - whole) >> 16);
  const __mmask16 all = 0xffff;
  __m512 top_a = lowest, top_b = lowest;
  for (int64_t j = 0; j < whole; j += 32) {
    top_a = _mm512_max_ps(top_a, logit(j, all));
    top_b = _mm512_max_ps(top_b, logit(j + 16, all));
  }
  if (whole < columns) {
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
  auto* p = reinterpret_cast<uint16_t*>(b.weights + r * b.stride);
  const auto store = [&](int64_t j, __m512 x, __m512 y) {
    _mm512_storeu_ps(s + j, x);
    _mm512_storeu_ps(s + j + 16, y);
    _mm512_storeu_si512(p + j, round_bf16(x, y));
    mass_a = _mm512_add_ps(mass_a, x);
    mass_b = _mm512_add_ps(mass_b, y);
  };
  for (int64_t j = 0; j < whole; j += 32) store(j, power(j, all), power(j + 16, all));
  int64_t done = whole;
  if (whole < columns) {
    store(whole, _mm512_maskz_mov_ps(last_a, power(whole, last_a)),
          _mm512_maskz_mov_ps(last_b, power(whole + 16, last_b)));
    done += 32;
  }
  for (; done < b.stride; done += 32) _mm512_storeu_si512(p + done, _mm512_setzero_si512());
  const float mass = _mm512_reduce_add_ps(_mm512_add_ps(mass_a, mass_b));
  b.inverse[r] = mass > 0 ? 1.0F / mass : 0.0F;
  b.lse[r] = mass > 0 ? top + __builtin_logf(mass) : -__builtin_inff();
}

/// Raises the columns' best by N rows from r on, whose weights become probabilities by `factor`.
/// Few columns rise once many rows have passed: the rows are compared together first.
template <int N>
void raise_best(const SoftmaxBlock& b, int64_t r, const float* factor) {
  const float* s = b.logits + r * b.stride;
  __m512 f[N];
  for (int i = 0; i < N; ++i) f[i] = _mm512_set1_ps(factor[i]);
  for (int64_t j = 0; j < b.columns; j += 16) {
    __m512 y[N];
    for (int i = 0; i < N; ++i) y[i] = _mm512_mul_ps(_mm512_loadu_ps(s + i * b.stride + j), f[i]);
    __m512 top = y[0];
    for (int i = 1; i < N; ++i) top = _mm512_max_ps(top, y[i]);
    const auto mask = static_cast<__mmask16>(first_bits(b.columns - j));
    __m512 best = _mm512_maskz_loadu_ps(mask, b.best + j);
    if (_mm512_mask_cmp_ps_mask(mask, top, best, _CMP_GT_OQ) == 0) continue;
    for (int i = 0; i < N; ++i) {
      const __mmask16 higher = _mm512_mask_cmp_ps_mask(mask, y[i], best, _CMP_GT_OQ);
      best = _mm512_mask_mov_ps(best, higher, y[i]);
      _mm512_mask_storeu_epi32(b.best_row + j, higher,
                               _mm512_set1_epi32(static_cast<int>(b.first_row + r + i)));
    }
    _mm512_mask_storeu_ps(b.best + j, mask, best);
  }
}

struct Avx512Rows {
  static void weigh(const SoftmaxBlock& b, int64_t r) { weigh_row(b, r); }
  template <int N>
  static void raise(const SoftmaxBlock& b, int64_t r, const float* factor) {
    raise_best<N>(b, r, factor);
  }
};

}  // namespace

void softmax_block_avx512(const SoftmaxBlock& b) { softmax_rows<Avx512Rows>(b); }

}  // namespace limbeck
