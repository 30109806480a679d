// The slice kernel with AMX tiles, for bf16 keys and values that many query heads read.
//
// Tiles multiply bf16 numbers and add in float32, so the float32 operands are cut into bf16 parts:
// queries into three (24 bits, all of a float32), weights into two (relative error 2^-17). Up to
// eight heads leave room for two parts side by side in a tile of 16; more heads take a product for
// each part. Per block of 64 slots: (1) keys, as they lie in memory, times the query parts; the
// scores come out slot by head and are transposed; (2) online softmax; (3) rows of weight parts
// times values, of which pairs of slots are interleaved first, as tiles want them. Of a block's
// prefetches, step 1 issues a quarter, step 2 another and step 3 the rest: the steps' shares of the
// time. In bursts they take a fifth longer.
//
// Infinite keys or values give NaN, because a part of the other operand may be 0.
#include "limbeck/model/kernels/amx_tiles.h"
#include "limbeck/model/kernels/attention_block.h"

namespace limbeck {
namespace {

/// Less work is faster with AVX-512: preparing tiles of queries takes as long as some 50 slots of
/// seven heads (measured).
constexpr int64_t kHeadsMin = 4, kHeadSlotsMin = 512;
constexpr int64_t kDimMax = 256;  ///< bounds the tiles of queries, which live on the stack

/// Operands in the form of tiles, and products before they are put in order.
struct Operands {
  Tile query[kDimMax / kStep][3];  ///< by 32 dimensions: pairs of dimensions, a column a head
  Tile weight[kBlock / 32][2];     ///< by 32 slots: a row a head
  Tile value[kBlock / 32][4];      ///< by 32 slots and 16 dimensions: pairs of slots
  Tile key_tail;                   ///< 16 slots, 0 behind the last one
  alignas(64) float product[4][kSide][kSide];
};

inline __m512i as_int(__m512 x) { return _mm512_castps_si512(x); }

/// Sixteen times two floats that are bf16 numbers, as 32 bf16 in their order.
inline __m512i narrow(__m512 a, __m512 b) {
  const __m256i low = _mm512_cvtepi32_epi16(_mm512_srli_epi32(as_int(a), 16));
  const __m256i high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(as_int(b), 16));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/// The upper 16 bits.
inline __m512 truncated(__m512 x) {
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
  return _mm512_castsi512_ps(_mm512_and_si512(as_int(x), mask));
}

/// Rounded to bf16, ties away from 0.
inline __m512 rounded(__m512 x) {
  return truncated(_mm512_castsi512_ps(_mm512_add_epi32(as_int(x), _mm512_set1_epi32(0x8000))));
}

/// Fills the tiles of queries. With up to 8 heads the first has columns of upper and middle parts,
/// the second of lower parts; else there is one for each part.
template <bool Wide>
void split_queries(const AttentionSlice& a, Operands& o) {
  for (int64_t d = 0; d < a.head_dim; d += kStep) {
    __m512i column[3][kSide];
    for (auto& part : column)
      for (auto& c : part) c = _mm512_setzero_si512();
    for (int64_t h = 0; h < a.heads; ++h) {
      __m512 x = _mm512_loadu_ps(a.query + h * a.stride + d);
      __m512 y = _mm512_loadu_ps(a.query + h * a.stride + d + 16);
      for (int part = 0; part < 3; ++part) {
        const __m512 upper_x = truncated(x), upper_y = truncated(y);
        const __m512i both = narrow(upper_x, upper_y);
        if (Wide) {
          column[part][h] = both;
        } else {
          column[part / 2][h + part % 2 * 8] = both;
        }
        x = _mm512_sub_ps(x, upper_x);
        y = _mm512_sub_ps(y, upper_y);
      }
    }
    for (int part = 0; part < (Wide ? 3 : 2); ++part) {
      transpose16(column[part]);
      for (int i = 0; i < kSide; ++i)
        _mm512_store_si512(o.query[d / kStep][part].row[i], column[part][i]);
    }
  }
}

/// product[slot / 16][slot % 16][column] = keys times columns of query parts.
template <bool Wide>
void multiply_keys(const AttentionSlice& a, const Bf16* keys, int64_t slots, Operands& o,
                   Ahead& ahead) {
  const int64_t bytes = a.head_dim * 2;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const auto rows = [&](int64_t group) { return keys + group * kSide * a.head_dim; };
  for (int64_t d = 0; d < a.head_dim; d += kStep) {
    const Tile* q = o.query[d / kStep];
    _tile_loadd(4, q[0].row, kRow);
    _tile_loadd(5, q[1].row, kRow);
    if (slots == kBlock) {
      fetch<4>(ahead);
      _tile_loadd(6, rows(0) + d, bytes);
      _tile_dpbf16ps(0, 6, 4);
      _tile_dpbf16ps(0, 6, 5);
      fetch<4>(ahead);
      _tile_loadd(7, rows(1) + d, bytes);
      _tile_dpbf16ps(1, 7, 4);
      _tile_dpbf16ps(1, 7, 5);
      fetch<4>(ahead);
      _tile_loadd(6, rows(2) + d, bytes);
      _tile_dpbf16ps(2, 6, 4);
      _tile_dpbf16ps(2, 6, 5);
      fetch<4>(ahead);
      _tile_loadd(7, rows(3) + d, bytes);
      _tile_dpbf16ps(3, 7, 4);
      _tile_dpbf16ps(3, 7, 5);
      if (Wide) {
        _tile_loadd(4, q[2].row, kRow);
        _tile_dpbf16ps(3, 7, 4);
        _tile_loadd(7, rows(1) + d, bytes);
        _tile_dpbf16ps(2, 6, 4);
        _tile_loadd(6, rows(0) + d, bytes);
        _tile_dpbf16ps(1, 7, 4);
        _tile_dpbf16ps(0, 6, 4);
      }
      continue;
    }
    for (int64_t g = 0; g < (slots + kSide - 1) / kSide; ++g) {
      const Bf16* from = rows(g) + d;
      int64_t step = bytes;
      const int64_t left = slots - g * kSide;
      if (left < kSide) {
        order_memory();  // the tile was loaded from here before
        for (int64_t i = 0; i < kSide; ++i) {
          const __mmask32 mask = i < left ? 0xffffffffU : 0;
          _mm512_store_si512(o.key_tail.row[i],
                             _mm512_maskz_loadu_epi16(mask, from + i * a.head_dim));
        }
        from = o.key_tail.row[0];
        step = kRow;
        order_memory();
      }
      _tile_loadd(6, from, step);
      if (Wide) _tile_loadd(7, q[2].row, kRow);
      switch (g) {
        case 0:
          _tile_dpbf16ps(0, 6, 4);
          _tile_dpbf16ps(0, 6, 5);
          if (Wide) _tile_dpbf16ps(0, 6, 7);
          break;
        case 1:
          _tile_dpbf16ps(1, 6, 4);
          _tile_dpbf16ps(1, 6, 5);
          if (Wide) _tile_dpbf16ps(1, 6, 7);
          break;
        case 2:
          _tile_dpbf16ps(2, 6, 4);
          _tile_dpbf16ps(2, 6, 5);
          if (Wide) _tile_dpbf16ps(2, 6, 7);
          break;
        default:
          _tile_dpbf16ps(3, 6, 4);
          _tile_dpbf16ps(3, 6, 5);
          if (Wide) _tile_dpbf16ps(3, 6, 7);
      }
    }
  }
  _tile_stored(0, o.product[0], kRow);
  _tile_stored(1, o.product[1], kRow);
  _tile_stored(2, o.product[2], kRow);
  _tile_stored(3, o.product[3], kRow);
  order_memory();
}

/// Columns h and h + 8 added, of rows i and i + 4: in 128-bit lanes heads 0-3 and 4-7 of either.
inline __m512 sum_of_parts(const float (*product)[kSide], int i) {
  const auto two = [&](int column) {
    const __m512d low = _mm512_castpd256_pd512(
        _mm256_load_pd(reinterpret_cast<const double*>(product[i] + column)));
    return _mm512_castpd_ps(_mm512_insertf64x4(
        low, _mm256_load_pd(reinterpret_cast<const double*>(product[i + 4] + column)), 1));
  };
  return _mm512_add_ps(two(0), two(8));
}

/// Sixteen slots of up to eight heads: score[head][slot] = both columns of the head.
inline void transpose_sums(const float (*product)[kSide], int64_t heads, float (*score)[kBlock]) {
  __m512 by_head[2][4];  // [half] heads j and 4 + j of slots 8 half to 8 half + 7
  for (int half = 0; half < 2; ++half) {
    __m512 v[4];
    for (int i = 0; i < 4; ++i) v[i] = sum_of_parts(product, 8 * half + i);
    const __m512d t0 = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1]));
    const __m512d t1 = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
    const __m512d t2 = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3]));
    const __m512d t3 = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
    by_head[half][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(t0, t2));
    by_head[half][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t0, t2));
    by_head[half][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(t1, t3));
    by_head[half][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(t1, t3));
  }
  for (int64_t j = 0; j < 4; ++j) {
    const __m512 a = by_head[0][j], b = by_head[1][j];
    _mm512_store_ps(score[j], _mm512_shuffle_f32x4(a, b, 0x88));
    if (4 + j < heads) _mm512_store_ps(score[4 + j], _mm512_shuffle_f32x4(a, b, 0xdd));
  }
}

/// Products to scores, head by slot.
template <bool Wide>
void order_scores(const AttentionSlice& a, int64_t slots, const Operands& o, Scores& block) {
  for (int64_t g = 0; g < (slots + kSide - 1) / kSide; ++g) {
    auto* score = reinterpret_cast<float(*)[kBlock]>(&block.score[0][kSide * g]);
    if (!Wide) {
      transpose_sums(o.product[g], a.heads, score);
      continue;
    }
    __m512i r[kSide];
    for (int i = 0; i < kSide; ++i) r[i] = _mm512_load_si512(o.product[g][i]);
    transpose16(r);
    for (int64_t h = 0; h < kSide; ++h)
      if (h < a.heads) _mm512_store_ps(score[h], _mm512_castsi512_ps(r[h]));
  }
}

/// Upper halves of x in the even places, of y in the odd ones.
inline __m512i upper_halves(__m512 x, __m512 y) {
  return _mm512_or_si512(_mm512_srli_epi32(as_int(x), 16), as_int(truncated(y)));
}

/// Weights as upper and lower parts, where slots i and 16 + i of 32 are a pair. Up to 8 heads take
/// rows h and h + 8 of one tile.
template <bool Wide>
void split_weights(const AttentionSlice& a, const Scores& block, Operands& o) {
  for (int64_t h = 0; h < a.heads; ++h)
    for (int s = 0; s < kBlock / 32; ++s) {
      const __m512 x = _mm512_load_ps(block.score[h] + 32 * s);
      const __m512 y = _mm512_load_ps(block.score[h] + 32 * s + 16);
      const __m512 upper_x = rounded(x), upper_y = rounded(y);
      const __m512i lower =
          upper_halves(rounded(_mm512_sub_ps(x, upper_x)), rounded(_mm512_sub_ps(y, upper_y)));
      _mm512_store_si512(o.weight[s][0].row[h], upper_halves(upper_x, upper_y));
      _mm512_store_si512(Wide ? o.weight[s][1].row[h] : o.weight[s][0].row[h + 8], lower);
    }
}

/// Interleaves rows i and 16 + i of 32 slots. Of each 32 dimensions the first tile gets 0-3, 8-11,
/// 16-19 and 24-27, the second the others, as unpacking within 128-bit lanes has it.
template <int Tiles>
void interleave(const Bf16* values, int64_t head_dim, int64_t slots, Tile* to, Ahead& ahead) {
  const bool whole = slots >= 32;
  for (int64_t i = 0; i < kSide; ++i) {
    const __mmask32 first = i < slots ? 0xffffffffU : 0, second = 16 + i < slots ? 0xffffffffU : 0;
    for (int t = 0; t < Tiles; t += 2) {
      fetch<1>(ahead);
      const Bf16* p = values + i * head_dim + 16 * t;
      const Bf16* q = p + 16 * head_dim;
      const __m512i x = whole ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(first, p);
      const __m512i y = whole ? _mm512_loadu_si512(q) : _mm512_maskz_loadu_epi16(second, q);
      _mm512_store_si512(to[t].row[i], _mm512_unpacklo_epi16(x, y));
      _mm512_store_si512(to[t + 1].row[i], _mm512_unpackhi_epi16(x, y));
    }
  }
}

/// sum[heads][16 Tiles] = shrink * sum + weights times values, in the order of interleave().
template <bool Wide, int Tiles>
void add_values(const AttentionSlice& a, const Bf16* values, int64_t slots, const Scores& block,
                float* sum, Operands& o, Ahead& ahead) {
  _tile_zero(0);
  _tile_zero(1);
  if (Tiles == 4) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t s = 0; 32 * s < slots; ++s) {
    interleave<Tiles>(values + 32 * s * a.head_dim, a.head_dim, slots - 32 * s, o.value[s], ahead);
    order_memory();
    _tile_loadd(4, o.weight[s][0].row, kRow);
    if (Wide) _tile_loadd(5, o.weight[s][1].row, kRow);
    _tile_loadd(6, o.value[s][0].row, kRow);
    _tile_dpbf16ps(0, 4, 6);
    if (Wide) _tile_dpbf16ps(0, 5, 6);
    _tile_loadd(7, o.value[s][1].row, kRow);
    _tile_dpbf16ps(1, 4, 7);
    if (Wide) _tile_dpbf16ps(1, 5, 7);
    if (Tiles == 4) {
      _tile_loadd(6, o.value[s][2].row, kRow);
      _tile_dpbf16ps(2, 4, 6);
      if (Wide) _tile_dpbf16ps(2, 5, 6);
      _tile_loadd(7, o.value[s][3].row, kRow);
      _tile_dpbf16ps(3, 4, 7);
      if (Wide) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, o.product[0], kRow);
  _tile_stored(1, o.product[1], kRow);
  if (Tiles == 4) {
    _tile_stored(2, o.product[2], kRow);
    _tile_stored(3, o.product[3], kRow);
  }
  order_memory();
  for (int64_t h = 0; h < a.heads; ++h) {
    const __m512 shrink = _mm512_set1_ps(block.shrink[h]);
    for (int t = 0; t < Tiles; ++t) {
      float* to = sum + h * a.stride + kSide * t;
      __m512 x = _mm512_load_ps(o.product[t][h]);
      if (!Wide) x = _mm512_add_ps(x, _mm512_load_ps(o.product[t][h + 8]));
      _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_loadu_ps(to), shrink, x));
    }
  }
}

/// The order of interleave() back to natural order.
void finish(const AttentionSlice& a, const Scores& block) {
  const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i high =
      _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  for (int64_t h = 0; h < a.heads; ++h) {
    a.top[h] = block.top[h];
    a.mass[h] = _mm512_reduce_add_ps(_mm512_load_ps(block.mass[h]));
    for (int64_t i = 0; i < a.stride; i += 32) {
      const Pair p = load_pair(a.sum + h * a.stride + i);
      _mm512_storeu_ps(a.sum + h * a.stride + i, _mm512_permutex2var_ps(p.a, low, p.b));
      _mm512_storeu_ps(a.sum + h * a.stride + i + 16, _mm512_permutex2var_ps(p.a, high, p.b));
    }
  }
}

template <bool Wide>
void slice_tiles(const AttentionSlice& a) {
  Scores block;
  Operands o;
  start(a, block);
  split_queries<Wide>(a, o);
  __builtin_memset(o.weight, 0, sizeof o.weight);  // rows of absent heads
  const TileConfig config;
  order_memory();
  _tile_loadconfig(&config);
  for (int64_t first = 0; first < a.slots; first += kBlock) {
    const int64_t left = a.slots - first, slots = left < kBlock ? left : kBlock;
    const Bf16* keys = static_cast<const Bf16*>(a.keys) + first * a.head_dim;
    const Bf16* values = static_cast<const Bf16*>(a.values) + first * a.head_dim;
    // Without another whole block the fetches go to lines that are at hand.
    const int64_t step = left >= 2 * kBlock ? kBlock * a.head_dim : 0;
    Ahead ahead{reinterpret_cast<const char*>(keys + step),
                reinterpret_cast<const char*>(values + step)};
    multiply_keys<Wide>(a, keys, slots, o, ahead);
    order_scores<Wide>(a, slots, o, block);
    weigh(a, a.bias ? a.bias + first : nullptr, slots, block, ahead, a.head_dim / 2);
    split_weights<Wide>(a, block, o);
    int64_t dim = 0;
    for (; dim + 64 <= a.head_dim; dim += 64)
      add_values<Wide, 4>(a, values + dim, slots, block, a.sum + dim, o, ahead);
    if (dim < a.head_dim) add_values<Wide, 2>(a, values + dim, slots, block, a.sum + dim, o, ahead);
  }
  // Others who use tiles in this thread find them unconfigured, as if we had not been here.
  _tile_release();
  finish(a, block);
}

void slice(const AttentionSlice& a) {
  if (a.heads < kHeadsMin || a.heads * a.slots < kHeadSlotsMin || a.head_dim % kStep != 0 ||
      a.head_dim > kDimMax)
    return kSliceAvx512.bf16(a);
  a.heads <= 8 ? slice_tiles<false>(a) : slice_tiles<true>(a);
}

}  // namespace

const SliceKernel kSliceAmxBf16 = slice;

}  // namespace limbeck
