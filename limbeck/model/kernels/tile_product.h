/// Products of bf16 matrices with f32 sums for processors that have AVX2 or AVX-512 but no tile
/// units: the products of attention (queries with keys, weights with values) over packed right
/// sides.
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <cstdint>

namespace limbeck {

/// Columns that are packed together.
inline constexpr int64_t kTilePanel = 64;

/// Elements of a packed B [k, n]: columns in panels padded with zeros, rows in pairs; twice as many
/// with AVX2, where the packed B is f32, columns by kTileGroup. k must be even.
int64_t tile_pack_size(int64_t k, int64_t n);
inline constexpr int64_t kTileGroup = 16;
/// Packs B [k, n], whose element (i, j) lies at b[i * row_step + j * column_step], for the path in
/// force.
void tile_pack(const Bf16* b, int64_t k, int64_t n, int64_t row_step, int64_t column_step,
               Bf16* packed);

/// c [m, n] f32, rows c_stride apart = a [m, k] bf16, rows a_stride apart, times the packed B.
/// Writes n columns. Runs on the calling thread; on the path that cpu_path() names.
struct TileProduct {
  const Bf16* a = nullptr;
  int64_t m = 0, k = 0, a_stride = 0;
  const Bf16* packed = nullptr;  ///< of packed_k rows, of which the first k take part
  int64_t packed_k = 0, n = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
};
void tile_product(const TileProduct& product);
/// In double, from the same packed B.
void tile_product_reference(const TileProduct& product);

/// One panel of up to kTilePanel columns.
void tile_pack_avx2(const Bf16* b, int64_t k, int64_t columns, int64_t row_step,
                    int64_t column_step, float* panel);

/// The code of the paths; kTileBf16Dot is null where the compiler does not know the instruction.
using TileKernel = void (*)(const TileProduct&);
extern const TileKernel kTileAvx2, kTileAvx512, kTileBf16Dot;

}  // namespace limbeck
