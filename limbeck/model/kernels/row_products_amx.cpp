// Both sides go in blocks of 32 rows, two tiles wide and two high, over the whole depth. Left rows
// are turned into right operands of tile products; right rows are read where they lie, if they lie
// side by side.
#include "limbeck/model/kernels/row_products.h"

#include "limbeck/model/kernels/amx_tiles.h"
#include "limbeck/model/kernels/avx512_ops.h"

namespace limbeck {
namespace {

constexpr int64_t kBlock = 2 * kSide;

struct Space {
  Tile* left = nullptr;      ///< [blocks of 16, even][depth / 32]: pairs of numbers by row
  Bf16* right = nullptr;     ///< [kBlock, depth] rows that do not lie side by side
  float* results = nullptr;  ///< [kBlock right, kBlock left]
};

int64_t left_tiles(const RowProducts& p) {
  return (p.left.count + kBlock - 1) / kBlock * 2 * (p.depth / 32);
}

int64_t space_of(const RowProducts& p) {
  return left_tiles(p) * static_cast<int64_t>(sizeof(Tile)) +
         kBlock * p.depth * static_cast<int64_t>(sizeof(Bf16)) +
         kBlock * kBlock * static_cast<int64_t>(sizeof(float));
}

void pack_left(const RowProducts& p, Tile* tiles) {
  const int64_t steps = p.depth / 32, groups = left_tiles(p) / steps;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t s = 0; s < steps; ++s) {
      __m512i row[kSide];
      for (int64_t i = 0; i < kSide; ++i) {
        const int64_t n = g * kSide + i;
        row[i] = n < p.left.count ? _mm512_loadu_si512(p.x + p.left[n] * p.depth + 32 * s)
                                  : _mm512_setzero_si512();
      }
      transpose16(row);
      for (int i = 0; i < kSide; ++i) _mm512_store_si512(tiles[g * steps + s].row[i], row[i]);
    }
}

/// Right rows [first, first + kBlock), side by side; 0 behind the last.
const Bf16* right_rows(const RowProducts& p, int64_t first, Bf16* space) {
  if (p.right.rows == nullptr && first + kBlock <= p.right.count)
    return p.x + p.right[first] * p.depth;
  for (int64_t i = 0; i < kBlock; ++i)
    for (int64_t d = 0; d < p.depth; d += 32)
      _mm512_storeu_si512(space + i * p.depth + d,
                          first + i < p.right.count
                              ? _mm512_loadu_si512(p.x + p.right[first + i] * p.depth + d)
                              : _mm512_setzero_si512());
  return space;
}

/// results = kBlock right rows times kBlock left ones, or times 16 where that is all there are.
void multiply(const Bf16* right, const Tile* left, int64_t depth, bool narrow, float* results) {
  const int64_t steps = depth / 32, bytes = depth * static_cast<int64_t>(sizeof(Bf16));
  constexpr int64_t kBytes = kBlock * sizeof(float);
  order_memory();
  _tile_zero(0);
  _tile_zero(1);
  if (narrow) {
    for (int64_t s = 0; s < steps; ++s) {
      _tile_loadd(6, left[s].row, kRow);
      _tile_loadd(4, right + 32 * s, bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, right + kSide * depth + 32 * s, bytes);
      _tile_dpbf16ps(1, 5, 6);
    }
    _tile_stored(0, results, kBytes);
    _tile_stored(1, results + kSide * kBlock, kBytes);
    order_memory();
    return;
  }
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < steps; ++s) {
    _tile_loadd(6, left[s].row, kRow);
    _tile_loadd(4, right + 32 * s, bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, left[steps + s].row, kRow);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, right + kSide * depth + 32 * s, bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, results, kBytes);
  _tile_stored(1, results + kSide, kBytes);
  _tile_stored(2, results + kSide * kBlock, kBytes);
  _tile_stored(3, results + kSide * kBlock + kSide, kBytes);
  order_memory();
}

/// 16 by 16 results, turned, to left rows [left, ...) and right rows [right, ...) of out.
void write(const RowProducts& p, const float* results, int64_t left, int64_t right) {
  if (left >= p.left.count || right >= p.right.count) return;
  __m512i row[kSide];
  for (int i = 0; i < kSide; ++i) row[i] = _mm512_loadu_si512(results + i * kBlock);
  transpose16(row);
  const __mmask32 inside = first_bits(p.right.count - right) & 0xffffU;
  const auto low = static_cast<__mmask8>(inside), high = static_cast<__mmask8>(inside >> 8);
  for (int64_t i = 0; i < kSide && left + i < p.left.count; ++i) {
    double* to = p.out + (left + i) * p.right.count + right;
    const __m512 x = _mm512_castsi512_ps(row[i]);
    _mm512_mask_storeu_pd(to, low, _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
    _mm512_mask_storeu_pd(to + 8, high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
  }
}

void run(const RowProducts& p, char* memory) {
  Space space;
  space.left = reinterpret_cast<Tile*>(memory);
  space.right = reinterpret_cast<Bf16*>(space.left + left_tiles(p));
  space.results = reinterpret_cast<float*>(space.right + kBlock * p.depth);
  const int64_t steps = p.depth / 32;
  pack_left(p, space.left);
  const TileConfig config;
  order_memory();
  _tile_loadconfig(&config);
  for (int64_t right = 0; right < p.right.count; right += kBlock) {
    const Bf16* rows = right_rows(p, right, space.right);
    for (int64_t left = 0; left < p.left.count; left += kBlock) {
      const bool narrow = left + kSide >= p.left.count;
      multiply(rows, space.left + left / kSide * steps, p.depth, narrow, space.results);
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < (narrow ? 1 : 2); ++j)
          write(p, space.results + i * kSide * kBlock + j * kSide, left + j * kSide,
                right + i * kSide);
    }
  }
  _tile_release();
}

}  // namespace

const RowProductsKernel kRowProductsAmx = {space_of, run};

}  // namespace limbeck
