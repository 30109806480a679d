// The slice kernel with AVX-512.
//
// Per block of 64 slots: (1) keys are transposed, 32 dimensions at a time, into a float32 tile with
// a slot per lane; scores are then products with broadcast query elements, which needs no
// horizontal sums and leaves the scores where exp wants them; (2) online softmax for all heads; (3)
// values are added to sums held in registers. Keys and values come from memory once; prefetches for
// the values are issued while keys are processed and the other way round, so that memory never
// idles.
#include "limbeck/model/kernels/attention_block.h"

namespace limbeck {
namespace {

/// What the three steps of a block share.
struct Block : Scores {
  alignas(64) float tile[kStep][kBlock];  // keys, dimension by slot
};

inline void load_rows(const Bf16* const (&rows)[16], __mmask32 mask, float (*tile)[kBlock]) {
  __m512i r[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_maskz_loadu_epi16(mask, rows[i]);
  transpose16(r);
  for (int i = 0; i < 16; ++i) {
    _mm512_store_ps(tile[2 * i], even_of(r[i]));
    _mm512_store_ps(tile[2 * i + 1], odd_of(r[i]));
  }
}

inline void load_rows(const float* const (&rows)[16], __mmask32 mask, float (*tile)[kBlock]) {
  for (int half = 0; half < 2; ++half) {
    __m512i r[16];
    const auto m = static_cast<__mmask16>(mask >> (16 * half));
    for (int i = 0; i < 16; ++i) r[i] = _mm512_maskz_loadu_epi32(m, rows[i] + 16 * half);
    transpose16(r);
    for (int i = 0; i < 16; ++i) _mm512_store_ps(tile[16 * half + i], _mm512_castsi512_ps(r[i]));
  }
}

/// Fills the tile's columns of `groups` times 16 slots; rows behind the last slot repeat it.
template <class T, int Lines>
void fill_tile(const T* keys, int64_t head_dim, int64_t slots, int groups, __mmask32 mask,
               float (*tile)[kBlock], Ahead& ahead) {
  for (int g = 0; g < groups; ++g) {
    fetch<Lines>(ahead);
    const T* rows[16];
    for (int i = 0; i < 16; ++i) {
      const int64_t slot = 16 * g + i;
      rows[i] = keys + (slot < slots ? slot : slots - 1) * head_dim;
    }
    load_rows(rows, mask, reinterpret_cast<float(*)[kBlock]>(&tile[0][16 * g]));
  }
}

/// score[H][16 V] (+)= query[H][32] times tile[32][16 V]; fetches 16 Lines cache lines.
template <int H, int V, int Lines, bool First>
void score_tile(const float (*tile)[kBlock], const float* query, int64_t stride,
                float (*score)[kBlock], Ahead& ahead) {
  Ahead fetching = ahead;
  __m512 sum[H][V];
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v)
      sum[h][v] = First ? _mm512_setzero_ps() : _mm512_load_ps(score[h] + 16 * v);
  for (int d = 0; d < kStep; ++d) {
    if (d % 2 == 0) fetch<Lines>(fetching);
    __m512 key[V];
    for (int v = 0; v < V; ++v) {
      key[v] = _mm512_load_ps(tile[d] + 16 * v);
      pin(key[v]);
    }
    for (int h = 0; h < H; ++h) {
      const __m512 q = _mm512_set1_ps(query[h * stride + d]);
      for (int v = 0; v < V; ++v) sum[h][v] = _mm512_fmadd_ps(q, key[v], sum[h][v]);
    }
  }
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) _mm512_store_ps(score[h] + 16 * v, sum[h][v]);
  ahead = fetching;
}

/// All heads, four at a time; the first four fetch.
template <int V, int Lines, bool First>
void score_heads(const float (*tile)[kBlock], const AttentionSlice& a, int64_t dim,
                 float (*score)[kBlock], Ahead& ahead) {
  const float* q = a.query + dim;
  switch (a.heads) {
    case 1: return score_tile<1, V, Lines, First>(tile, q, a.stride, score, ahead);
    case 2: return score_tile<2, V, Lines, First>(tile, q, a.stride, score, ahead);
    case 3: return score_tile<3, V, Lines, First>(tile, q, a.stride, score, ahead);
    default: score_tile<4, V, Lines, First>(tile, q, a.stride, score, ahead);
  }
  for (int64_t h = 4; h < a.heads; h += 4) {
    Ahead none = ahead;  // later groups fetch the same lines again, which costs next to nothing
    q = a.query + h * a.stride + dim;
    Ahead& fetching = h == 4 ? ahead : none;
    switch (a.heads - h) {
      case 1: score_tile<1, V, Lines, First>(tile, q, a.stride, score + h, fetching); break;
      case 2: score_tile<2, V, Lines, First>(tile, q, a.stride, score + h, fetching); break;
      case 3: score_tile<3, V, Lines, First>(tile, q, a.stride, score + h, fetching); break;
      default: score_tile<4, V, Lines, First>(tile, q, a.stride, score + h, fetching);
    }
  }
}

template <class T, bool First>
void score_step(const AttentionSlice& a, const T* keys, int64_t slots, int64_t dim, Block& block,
                Ahead& ahead) {
  const int groups = static_cast<int>((slots + 15) / 16);
  // Of the 32 sizeof(T) lines of each stream that belong to a step the scores of up to four heads
  // fetch a quarter, those of the next four another, the values a quarter, and the tile the rest.
  constexpr int kQuarter = 2 * static_cast<int>(sizeof(T));  // for each of the tile's four groups
  const __mmask32 mask = first_bits(a.head_dim - dim);
  if (a.heads <= 4) {
    fill_tile<T, 2 * kQuarter>(keys + dim, a.head_dim, slots, groups, mask, block.tile, ahead);
  } else {
    fill_tile<T, kQuarter>(keys + dim, a.head_dim, slots, groups, mask, block.tile, ahead);
  }
  if (groups == kVectors) {
    score_heads<kVectors, sizeof(T) / 2, First>(block.tile, a, dim, block.score, ahead);
    return;
  }
  for (int g = 0; g < groups; ++g)
    score_heads<1, 0, First>(reinterpret_cast<float(*)[kBlock]>(&block.tile[0][16 * g]), a, dim,
                             reinterpret_cast<float(*)[kBlock]>(&block.score[0][16 * g]), ahead);
}

template <class T>
void score_block(const AttentionSlice& a, const T* keys, int64_t slots, Block& block,
                 Ahead& ahead) {
  score_step<T, true>(a, keys, slots, 0, block, ahead);
  for (int64_t dim = kStep; dim < a.head_dim; dim += kStep)
    score_step<T, false>(a, keys, slots, dim, block, ahead);
}

/// sum[H][32 P] = shrink * sum + weights times values, in pair order. With `Masked` P is 1.
template <class T, int H, int P, bool Masked, bool Fetch>
void add_values(const T* values, int64_t head_dim, int64_t slots, __mmask32 mask,
                const float (*weight)[kBlock], const float* shrink, float* sum, int64_t stride,
                Ahead& ahead) {
  constexpr int kLines = Fetch ? P * static_cast<int>(sizeof(T)) / 4 : 0;  // for two slots
  Ahead fetching = ahead;
  Pair acc[H][P];
  for (int h = 0; h < H; ++h) {
    const __m512 factor = _mm512_set1_ps(shrink[h]);
    for (int p = 0; p < P; ++p) {
      const Pair old = load_pair(sum + h * stride + 32 * p);
      acc[h][p] = {_mm512_mul_ps(old.a, factor), _mm512_mul_ps(old.b, factor)};
    }
  }
  for (int64_t j = 0; j < slots; ++j) {
    if (j % 2 == 0) fetch<kLines>(fetching);
    for (int p = 0; p < P; ++p) {
      const T* at = values + j * head_dim + 32 * p;
      Pair v = Masked ? load_pair(at, mask) : load_pair(at);
      pin(v.a);
      pin(v.b);
      for (int h = 0; h < H; ++h) {
        const __m512 w = _mm512_set1_ps(weight[h][j]);
        acc[h][p].a = _mm512_fmadd_ps(w, v.a, acc[h][p].a);
        acc[h][p].b = _mm512_fmadd_ps(w, v.b, acc[h][p].b);
      }
    }
  }
  for (int h = 0; h < H; ++h)
    for (int p = 0; p < P; ++p) {
      _mm512_storeu_ps(sum + h * stride + 32 * p, acc[h][p].a);
      _mm512_storeu_ps(sum + h * stride + 32 * p + 16, acc[h][p].b);
    }
  ahead = fetching;
}

/// All columns of H heads; tiles of 128 columns where the registers hold them.
template <class T, int H, bool Fetch>
void add_values_heads(const AttentionSlice& a, const T* values, int64_t slots, const Block& block,
                      int64_t h, Ahead& ahead) {
  constexpr int kWide = H <= 3 ? 4 : 2;
  for (int64_t dim = 0; dim < a.head_dim;) {
    float* sum = a.sum + h * a.stride + dim;
    const float(*weight)[kBlock] = block.score + h;
    const float* shrink = block.shrink + h;
    const int64_t d = a.head_dim, left = d - dim;
    const T* v = values + dim;
    if (left >= 32 * kWide) {
      add_values<T, H, kWide, false, Fetch>(v, d, slots, 0, weight, shrink, sum, a.stride, ahead);
      dim += 32 * kWide;
    } else if (left >= 64) {
      add_values<T, H, 2, false, Fetch>(v, d, slots, 0, weight, shrink, sum, a.stride, ahead);
      dim += 64;
    } else {
      add_values<T, H, 1, true, Fetch>(v, d, slots, first_bits(left), weight, shrink, sum, a.stride,
                                       ahead);
      dim += 32;
    }
  }
}

template <class T, bool Fetch>
void add_values_some(const AttentionSlice& a, const T* values, int64_t slots, const Block& block,
                     int64_t h, int64_t heads, Ahead& ahead) {
  switch (heads) {
    case 1: return add_values_heads<T, 1, Fetch>(a, values, slots, block, h, ahead);
    case 2: return add_values_heads<T, 2, Fetch>(a, values, slots, block, h, ahead);
    case 3: return add_values_heads<T, 3, Fetch>(a, values, slots, block, h, ahead);
    case 4: return add_values_heads<T, 4, Fetch>(a, values, slots, block, h, ahead);
    case 5: return add_values_heads<T, 5, Fetch>(a, values, slots, block, h, ahead);
    default: add_values_heads<T, 6, Fetch>(a, values, slots, block, h, ahead);
  }
}

template <class T>
void add_values_block(const AttentionSlice& a, const T* values, int64_t slots, const Block& block,
                      Ahead& ahead) {
  for (int64_t h = 0; h < a.heads;) {
    // Equal groups of at most 6: 7 heads as 4 + 3 and not 6 + 1.
    const int64_t left = a.heads - h;
    const int64_t groups = (left + 5) / 6, take = (left + groups - 1) / groups;
    if (h == 0) {
      add_values_some<T, true>(a, values, slots, block, h, take, ahead);
    } else {
      add_values_some<T, false>(a, values, slots, block, h, take, ahead);
    }
    h += take;
  }
}

/// Pair order back to natural order.
void finish(const AttentionSlice& a, const Block& block, bool pairs) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high =
      _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  for (int64_t h = 0; h < a.heads; ++h) {
    a.top[h] = block.top[h];
    a.mass[h] = _mm512_reduce_add_ps(_mm512_load_ps(block.mass[h]));
    if (!pairs) continue;
    for (int64_t i = 0; i < a.stride; i += 32) {
      const Pair p = load_pair(a.sum + h * a.stride + i);
      _mm512_storeu_ps(a.sum + h * a.stride + i, _mm512_permutex2var_ps(p.a, low, p.b));
      _mm512_storeu_ps(a.sum + h * a.stride + i + 16, _mm512_permutex2var_ps(p.a, high, p.b));
    }
  }
}

template <class T>
void slice(const AttentionSlice& a) {
  Block block;
  start(a, block);
  for (int64_t first = 0; first < a.slots; first += kBlock) {
    const int64_t left = a.slots - first, slots = left < kBlock ? left : kBlock;
    const T* keys = static_cast<const T*>(a.keys) + first * a.head_dim;
    const T* values = static_cast<const T*>(a.values) + first * a.head_dim;
    // Without another whole block the fetches go to lines that are at hand.
    const int64_t step = left >= 2 * kBlock ? kBlock * a.head_dim : 0;
    Ahead ahead{reinterpret_cast<const char*>(keys + step),
                reinterpret_cast<const char*>(values + step)};
    score_block(a, keys, slots, block, ahead);
    weigh(a, a.bias ? a.bias + first : nullptr, slots, block, ahead, 0);
    add_values_block(a, values, slots, block, ahead);
  }
  finish(a, block, sizeof(T) == 2);
}

}  // namespace

const SliceKernels kSliceAvx512{slice<Bf16>, slice<float>};

}  // namespace limbeck
