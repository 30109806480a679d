/// Online softmax over blocks of slots, and the fetching ahead of the next block: what the vector
/// kernels of a slice share, however they come by the scores and add the values.
///
/// Included by attention_avx512.cpp and attention_amx.cpp only; see avx512_ops.h.
#pragma once

#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/avx512_ops.h"

namespace limbeck {
namespace {

constexpr int kBlock = static_cast<int>(kSliceBlock);
constexpr int kStep = static_cast<int>(kHeadDimStep);
constexpr int kVectors = kBlock / 16;
constexpr float kMinusInf = -__builtin_inff();

/// Of a block, by head; scores become weights in place.
struct Scores {
  alignas(64) float score[kSliceHeadsMax][kBlock];
  alignas(64) float mass[kSliceHeadsMax][16];  // lanes are summed once, at the end
  alignas(64) float top[kSliceHeadsMax];
  alignas(64) float shift[kSliceHeadsMax];   // top, or 0 while top is -inf
  alignas(64) float shrink[kSliceHeadsMax];  // factor on earlier sums
};

/// Before the first block: no mass and sums of 0.
inline void start(const AttentionSlice& a, Scores& block) {
  _mm512_store_ps(block.top, _mm512_set1_ps(kMinusInf));
  for (int64_t h = 0; h < a.heads; ++h) {
    _mm512_store_ps(block.mass[h], _mm512_setzero_ps());
    for (int64_t i = 0; i < a.stride; i += 16)
      _mm512_storeu_ps(a.sum + h * a.stride + i, _mm512_setzero_ps());
  }
}

/// Where the next block's keys and values are fetched from, into the second-level cache. All steps
/// of a block issue some of these prefetches: bursts would fill the line buffers and hold up the
/// loads behind them, and pauses would leave the memory idle.
struct Ahead {
  const char *keys, *values;
};

/// Fetches the next `Lines` cache lines of both.
template <int Lines>
inline void fetch(Ahead& ahead) {
  for (int i = 0; i < Lines; ++i) {
    _mm_prefetch(ahead.keys + 64 * i, _MM_HINT_T1);
    _mm_prefetch(ahead.values + 64 * i, _MM_HINT_T1);
  }
  ahead.keys += 64 * Lines;
  ahead.values += 64 * Lines;
}

inline __m512 soft_cap(__m512 s, float cap) {
  // cap * tanh(s / cap) with tanh(x) = 1 - 2 / (exp(2x) + 1): the absolute error is what counts.
  const __m512 e = exp_ps(_mm512_mul_ps(s, _mm512_set1_ps(2.0F / cap)));
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 t = _mm512_div_ps(_mm512_set1_ps(2.0F), _mm512_add_ps(e, one));
  return _mm512_mul_ps(_mm512_set1_ps(cap), _mm512_sub_ps(one, t));
}

/// Soft-caps, adds the bias, and sets the scores behind the last slot to -inf.
inline void finish_scores(const AttentionSlice& a, const float* bias, int64_t slots, float* score) {
  const __m512 lowest = _mm512_set1_ps(kMinusInf);
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = slots - 16 * v;
    const auto mask = static_cast<__mmask16>(left <= 0 ? 0 : first_bits(left));
    __m512 s = _mm512_maskz_load_ps(mask, score + 16 * v);
    if (a.softcap != 0) s = soft_cap(s, a.softcap);
    if (bias) s = _mm512_add_ps(s, _mm512_maskz_loadu_ps(mask, bias + 16 * v));
    _mm512_store_ps(score + 16 * v, _mm512_mask_mov_ps(lowest, mask, s));
  }
}

/// Scores to weights exp(score - top), for all heads; updates top, mass and shrink. Steps that
/// depend on one another run over all heads before the next begins, which hides their latency.
/// Fetches `lines` cache lines of both streams, as many for each head.
inline void weigh(const AttentionSlice& a, const float* bias, int64_t slots, Scores& block,
                  Ahead& ahead, int64_t lines) {
  const int64_t lines_each = (lines + a.heads - 1) / a.heads;
  if (bias || a.softcap != 0 || slots < kBlock)
    for (int64_t h = 0; h < a.heads; ++h) finish_scores(a, bias, slots, block.score[h]);
  const __m512 old_top = _mm512_load_ps(block.top);
  for (int64_t h = 0; h < a.heads; ++h) {
    __m512 highest = _mm512_load_ps(block.score[h]);
    for (int v = 1; v < kVectors; ++v)
      highest = _mm512_max_ps(highest, _mm512_load_ps(block.score[h] + 16 * v));
    block.top[h] = _mm512_reduce_max_ps(highest);
  }
  const __m512 top = _mm512_max_ps(_mm512_load_ps(block.top), old_top);
  const __m512 lowest = _mm512_set1_ps(kMinusInf);
  // -inf - -inf would be NaN.
  const __m512 shift = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(top, lowest, _CMP_NEQ_UQ), top);
  _mm512_store_ps(block.top, top);
  _mm512_store_ps(block.shift, shift);
  _mm512_store_ps(block.shrink, exp_ps(_mm512_sub_ps(old_top, shift)));
  for (int64_t h = 0; h < a.heads; ++h) {
    for (int64_t i = 0; i < lines_each; ++i) fetch<1>(ahead);
    float* score = block.score[h];
    __m512 sum = _mm512_mul_ps(_mm512_load_ps(block.mass[h]), _mm512_set1_ps(block.shrink[h]));
    for (int v = 0; v < kVectors; ++v) {
      const __m512 s =
          _mm512_sub_ps(_mm512_load_ps(score + 16 * v), _mm512_set1_ps(block.shift[h]));
      const __m512 w = exp_ps(s);
      sum = _mm512_add_ps(sum, w);
      _mm512_store_ps(score + 16 * v, w);
    }
    _mm512_store_ps(block.mass[h], sum);
  }
}

}  // namespace
}  // namespace limbeck
