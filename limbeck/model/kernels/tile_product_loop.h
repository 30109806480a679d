/// The loops of tile_product() around a micro kernel of up to kRows rows and one panel. Internal
/// linkage throughout: files that include this are compiled for different processors.
#pragma once

#include "limbeck/model/kernels/avx512_ops.h"
#include "limbeck/model/kernels/tile_product.h"

namespace limbeck {
namespace {

/// Rows of B that a round runs over: their part of a panel stays in the first-level cache.
constexpr int64_t kTileDepth = 128;

template <class Micro, int M>
inline void tile_rows(const TileProduct& p, int64_t row, int64_t first, int64_t begin,
                      int64_t end) {
  __m512 sum[M][4];
  float* c = p.c + row * p.c_stride + first;
  __mmask16 mask[4];
  for (int j = 0; j < 4; ++j)
    mask[j] = static_cast<__mmask16>(first_bits(p.n - first > 16 * j ? p.n - first - 16 * j : 0));
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 4; ++j)
      sum[i][j] = begin == 0 ? _mm512_setzero_ps()
                             : _mm512_maskz_loadu_ps(mask[j], c + i * p.c_stride + 16 * j);
  Micro::template run<M>(p.a + row * p.a_stride + begin, p.a_stride,
                         p.packed + first * p.packed_k + begin * kTilePanel, end - begin, sum);
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < 4; ++j)
      _mm512_mask_storeu_ps(c + i * p.c_stride + 16 * j, mask[j], sum[i][j]);
}

template <class Micro, int M>
inline void tile_rest(const TileProduct& p, int64_t row, int64_t first, int64_t begin,
                      int64_t end) {
  if constexpr (M > 0) {
    if (p.m - row == M) return tile_rows<Micro, M>(p, row, first, begin, end);
    tile_rest<Micro, M - 1>(p, row, first, begin, end);
  }
}

template <class Micro>
inline void tile_loop(const TileProduct& p) {
  constexpr int kRows = Micro::kRows;
  for (int64_t first = 0; first < p.n; first += kTilePanel)
    for (int64_t begin = 0; begin == 0 || begin < p.k; begin += kTileDepth) {
      const int64_t end = begin + kTileDepth < p.k ? begin + kTileDepth : p.k;
      int64_t row = 0;
      for (; row + kRows <= p.m; row += kRows) tile_rows<Micro, kRows>(p, row, first, begin, end);
      tile_rest<Micro, kRows - 1>(p, row, first, begin, end);
    }
}

/// Two neighbouring elements of a row, for all lanes.
inline __m512i pair_of(const Bf16* a) {
  int32_t pair;
  __builtin_memcpy(&pair, a, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

}  // namespace
}  // namespace limbeck
