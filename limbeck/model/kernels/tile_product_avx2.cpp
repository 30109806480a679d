#include "limbeck/model/kernels/micro_avx2.h"
#include "limbeck/model/kernels/tile_product.h"

namespace limbeck {
namespace {

/// Rows of A and B's depth that a round runs over: A's part in f32 stays in the second-level cache,
/// sixteen columns of B in the first.
constexpr int64_t kRows = 96, kDepth = 128;
static_assert(kTileGroup == kMicroColumns);

struct WideRows {
  alignas(32) float at[kRows][kDepth];
};

void widen_rows(const TileProduct& p, int64_t row, int64_t rows, int64_t begin, int64_t depth,
                WideRows& wide) {
  for (int64_t i = 0; i < rows; ++i) {
    const Bf16* from = p.a + (row + i) * p.a_stride + begin;
    int64_t l = 0;
    for (; l + 8 <= depth; l += 8) _mm256_store_ps(&wide.at[i][l], load8(from + l));
    for (; l < depth; ++l) wide.at[i][l] = to_float(from[l]);
  }
}

void multiply(const TileProduct& p) {
  WideRows wide;
  const auto* packed = reinterpret_cast<const float*>(p.packed);
  for (int64_t row = 0; row < p.m; row += kRows) {
    const int64_t rows = p.m - row < kRows ? p.m - row : kRows;
    for (int64_t begin = 0; begin == 0 || begin < p.k; begin += kDepth) {
      const int64_t depth = p.k - begin < kDepth ? p.k - begin : kDepth;
      widen_rows(p, row, rows, begin, depth, wide);
      for (int64_t j = 0; j < p.n; j += kMicroColumns)
        for (int64_t i = 0; i < rows; i += kMicroRows)
          micro_product(rows - i, wide.at[i], kDepth,
                        packed + j * p.packed_k + begin * kMicroColumns, depth,
                        p.c + (row + i) * p.c_stride + j, p.c_stride, p.n - j, begin > 0);
    }
  }
}

/// Eight columns whose elements are neighbours, eight rows at a time.
void pack_columns(const Bf16* b, int64_t k, int64_t columns, int64_t column_step, float* to) {
  for (int64_t i = 0; i < k; i += 8) {
    __m256 r[8];
    for (int64_t j = 0; j < 8; ++j)
      r[j] = j < columns ? load_first(b + j * column_step + i, k - i) : _mm256_setzero_ps();
    transpose8(r);
    for (int64_t j = 0; j < 8 && i + j < k; ++j) _mm256_storeu_ps(to + (i + j) * kTileGroup, r[j]);
  }
}

}  // namespace

void tile_pack_avx2(const Bf16* b, int64_t k, int64_t columns, int64_t row_step,
                    int64_t column_step, float* panel) {
  for (int64_t first = 0; first < kTilePanel; first += 8) {
    const Bf16* from = b + first * column_step;
    float* to = panel + first / kTileGroup * kTileGroup * k + first % kTileGroup;
    if (row_step == 1) {
      pack_columns(from, k, columns - first, column_step, to);
      continue;
    }
    for (int64_t i = 0; i < k; ++i, from += row_step, to += kTileGroup) {
      if (column_step == 1) {
        _mm256_storeu_ps(to, load_first(from, columns - first));
        continue;
      }
      for (int64_t j = 0; j < 8; ++j)
        to[j] = first + j < columns ? to_float(from[j * column_step]) : 0.0F;
    }
  }
}

const TileKernel kTileAvx2 = multiply;

}  // namespace limbeck
