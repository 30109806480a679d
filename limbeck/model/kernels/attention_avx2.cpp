// The slice kernel with AVX2.
//
// Sixteen registers are too few for the transposed tiles of attention_avx512.cpp. Four slots at a
// time: their keys become f32 once, then every head's products with them run over the dimensions
// and are summed over lanes four at a time. The values of a block are added to sums of 32
// dimensions of up to three heads held in registers.
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/avx2_ops.h"

namespace limbeck {
namespace {

constexpr int kBlock = static_cast<int>(kSliceBlock);
constexpr int64_t kStrideMax = 512;
constexpr int kSlots = 4;
constexpr float kMinusInf = -__builtin_inff();

struct Block {
  alignas(32) float score[kSliceHeadsMax][kBlock];  // weights in the end
  alignas(32) float keys[kSlots][kStrideMax];
  float shrink[kSliceHeadsMax];  // factors on earlier sums
};

/// Where the same rows of the next block lie, for the second-level cache.
inline void fetch_row(const void* row, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64)
    _mm_prefetch(static_cast<const char*>(row) + i, _MM_HINT_T1);
}

/// The scores of four slots for H heads.
template <int H>
inline void score_heads(const AttentionSlice& a, int64_t head, int64_t width, Block& b, int at) {
  const float* q = a.query + head * a.stride;
  __m256 sum[H][kSlots];
  for (int h = 0; h < H; ++h)
    for (int s = 0; s < kSlots; ++s) sum[h][s] = _mm256_setzero_ps();
  for (int64_t d = 0; d < width; d += 8) {
    __m256 x[H];
    for (int h = 0; h < H; ++h) x[h] = _mm256_loadu_ps(q + h * a.stride + d);
    for (int s = 0; s < kSlots; ++s) {
      const __m256 k = _mm256_load_ps(&b.keys[s][d]);
      for (int h = 0; h < H; ++h) sum[h][s] = _mm256_fmadd_ps(x[h], k, sum[h][s]);
    }
  }
  for (int h = 0; h < H; ++h)
    _mm_store_ps(&b.score[head + h][at], reduce_add(sum[h][0], sum[h][1], sum[h][2], sum[h][3]));
}

template <class T>
void score_block(const AttentionSlice& a, const T* keys, int64_t slots, Block& b) {
  const int64_t width = (a.head_dim + 7) / 8 * 8;
  for (int at = 0; at < slots; at += kSlots) {
    for (int s = 0; s < kSlots; ++s) {
      const int64_t slot = at + s < slots ? at + s : slots - 1;
      const T* row = keys + slot * a.head_dim;
      fetch_row(row + kBlock * a.head_dim, a.head_dim * static_cast<int64_t>(sizeof(T)));
      int64_t d = 0;
      for (; d + 8 <= a.head_dim; d += 8) _mm256_store_ps(&b.keys[s][d], load8(row + d));
      if (d < width) _mm256_store_ps(&b.keys[s][d], load_first(row + d, a.head_dim - d));
    }
    int64_t h = 0;
    for (; h + 2 <= a.heads; h += 2) score_heads<2>(a, h, width, b, at);
    if (h < a.heads) score_heads<1>(a, h, width, b, at);
  }
}

inline __m256 soft_cap(__m256 s, float cap) {
  // cap * tanh(s / cap) with tanh(x) = 1 - 2 / (exp(2x) + 1): the absolute error is what counts.
  const __m256 e = exp_ps(_mm256_mul_ps(s, _mm256_set1_ps(2.0F / cap)));
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 t = _mm256_div_ps(_mm256_set1_ps(2.0F), _mm256_add_ps(e, one));
  return _mm256_mul_ps(_mm256_set1_ps(cap), _mm256_sub_ps(one, t));
}

/// Turns a head's scores into weights exp(score - top) and updates its top, mass and shrink.
inline void weigh(const AttentionSlice& a, const float* bias, int64_t slots, int64_t head,
                  Block& b) {
  float* score = b.score[head];
  const __m256 lowest = _mm256_set1_ps(kMinusInf);
  __m256 highest = lowest;
  for (int64_t j = 0; j < slots; j += 8) {
    __m256 s = _mm256_load_ps(score + j);
    if (a.softcap != 0) s = soft_cap(s, a.softcap);
    if (bias) s = _mm256_add_ps(s, load_first(bias + j, slots - j));
    if (j + 8 > slots) s = _mm256_blendv_ps(lowest, s, _mm256_castsi256_ps(first_lanes(slots - j)));
    _mm256_store_ps(score + j, s);
    highest = _mm256_max_ps(highest, s);
  }
  const float before = a.top[head], found = reduce_max(highest);
  const float top = found > before ? found : before;
  const float shift = top == kMinusInf ? 0.0F : top;  // -inf - -inf would be NaN
  __m256 sum = _mm256_setzero_ps();
  for (int64_t j = 0; j < slots; j += 8) {
    const __m256 w = exp_ps(_mm256_sub_ps(_mm256_load_ps(score + j), _mm256_set1_ps(shift)));
    sum = _mm256_add_ps(sum, w);
    _mm256_store_ps(score + j, w);
  }
  b.shrink[head] = fast_exp(before - shift);
  a.top[head] = top;
  a.mass[head] = a.mass[head] * b.shrink[head] + reduce_add(sum);
}

/// 32 dimensions from `dim` on of H heads: sum = shrink * sum + weights times values.
template <class T, int H, bool Masked>
void add_values(const AttentionSlice& a, const T* values, int64_t slots, int64_t head, int64_t dim,
                const Block& b) {
  constexpr int kVectors = 4;
  float* to = a.sum + head * a.stride + dim;
  __m256 sum[H][kVectors];
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < kVectors; ++v)
      sum[h][v] = _mm256_mul_ps(_mm256_loadu_ps(to + h * a.stride + 8 * v),
                                _mm256_set1_ps(b.shrink[head + h]));
  const T* row = values + dim;
  for (int64_t j = 0; j < slots; ++j, row += a.head_dim) {
    __m256 w[H];
    for (int h = 0; h < H; ++h) w[h] = _mm256_broadcast_ss(&b.score[head + h][j]);
    for (int v = 0; v < kVectors; ++v) {
      const __m256 x =
          Masked ? load_first(row + 8 * v, a.head_dim - dim - 8 * v) : load8(row + 8 * v);
      for (int h = 0; h < H; ++h) sum[h][v] = _mm256_fmadd_ps(w[h], x, sum[h][v]);
    }
  }
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(to + h * a.stride + 8 * v, sum[h][v]);
}

template <class T, int H>
void add_values(const AttentionSlice& a, const T* values, int64_t slots, int64_t head,
                const Block& b) {
  int64_t dim = 0;
  for (; dim + 32 <= a.head_dim; dim += 32) add_values<T, H, false>(a, values, slots, head, dim, b);
  if (dim < a.head_dim) add_values<T, H, true>(a, values, slots, head, dim, b);
}

template <class T>
void slice(const AttentionSlice& a) {
  Block b;
  for (int64_t h = 0; h < a.heads; ++h) {
    a.top[h] = kMinusInf;
    a.mass[h] = 0;
    for (int64_t i = 0; i < a.stride; ++i) a.sum[h * a.stride + i] = 0;
  }
  for (int64_t first = 0; first < a.slots; first += kBlock) {
    const int64_t slots = a.slots - first < kBlock ? a.slots - first : kBlock;
    const T* values = static_cast<const T*>(a.values) + first * a.head_dim;
    score_block(a, static_cast<const T*>(a.keys) + first * a.head_dim, slots, b);
    for (int64_t h = 0; h < a.heads; ++h) {
      fetch_row(values + (kBlock + h * kBlock / a.heads) * a.head_dim,
                a.head_dim * static_cast<int64_t>(sizeof(T)) * kBlock / a.heads);
      weigh(a, a.bias ? a.bias + first : nullptr, slots, h, b);
    }
    for (int64_t h = 0; h < a.heads;) {
      const int64_t left = a.heads - h;
      if (left == 3 || left > 4) {
        add_values<T, 3>(a, values, slots, h, b);
        h += 3;
      } else if (left > 1) {
        add_values<T, 2>(a, values, slots, h, b);
        h += 2;
      } else {
        add_values<T, 1>(a, values, slots, h, b);
        ++h;
      }
    }
  }
}

}  // namespace

const SliceKernels kSliceAvx2{slice<Bf16>, slice<float>};

}  // namespace limbeck
