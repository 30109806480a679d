#include "limbeck/model/kernels/micro_avx2.h"
#include "limbeck/model/kernels/tile_product.h"

namespace limbeck {
namespace {

/// Rows of A and B's depth that a round runs over: A's part in f32 stays in the second-level cache,
/// sixteen columns of B in the first.
constexpr int64_t kRows = 96, kDepth = 128;

struct Wide {
  alignas(32) float a[kRows][kDepth];
  alignas(32) float b[kTilePanel / kMicroColumns][kDepth][kMicroColumns];
};

void widen_rows(const TileProduct& p, int64_t row, int64_t rows, int64_t begin, int64_t depth,
                Wide& wide) {
  for (int64_t i = 0; i < rows; ++i) {
    const Bf16* from = p.a + (row + i) * p.a_stride + begin;
    int64_t l = 0;
    for (; l + 8 <= depth; l += 8) _mm256_store_ps(&wide.a[i][l], load8(from + l));
    for (; l < depth; ++l) wide.a[i][l] = to_float(from[l]);
  }
}

/// A 32-bit lane of the packed panel holds an even and an odd row's element of a column.
void widen_panel(const Bf16* packed, int64_t columns, int64_t depth, Wide& wide) {
  const __m256i upper = _mm256_set1_epi32(-65536);
  const int64_t padded = (columns + kMicroColumns - 1) / kMicroColumns * kMicroColumns;
  for (int64_t l = 0; l < depth; l += 2, packed += 2 * kTilePanel)
    for (int64_t j = 0; j < padded; j += 8) {
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + 2 * j));
      float* to = &wide.b[j / kMicroColumns][l][j % kMicroColumns];
      _mm256_store_ps(to, _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)));
      _mm256_store_ps(to + kMicroColumns, _mm256_castsi256_ps(_mm256_and_si256(pairs, upper)));
    }
}

void multiply(const TileProduct& p) {
  Wide wide;
  for (int64_t row = 0; row < p.m; row += kRows) {
    const int64_t rows = p.m - row < kRows ? p.m - row : kRows;
    for (int64_t begin = 0; begin == 0 || begin < p.k; begin += kDepth) {
      const int64_t depth = p.k - begin < kDepth ? p.k - begin : kDepth;
      widen_rows(p, row, rows, begin, depth, wide);
      for (int64_t first = 0; first < p.n; first += kTilePanel) {
        const int64_t columns = p.n - first < kTilePanel ? p.n - first : kTilePanel;
        widen_panel(p.packed + first * p.packed_k + begin * kTilePanel, columns, depth, wide);
        for (int64_t i = 0; i < rows; i += kMicroRows)
          for (int64_t j = 0; j < columns; j += kMicroColumns)
            micro_product(rows - i, wide.a[i], kDepth, wide.b[j / kMicroColumns][0], depth,
                          p.c + (row + i) * p.c_stride + first + j, p.c_stride, columns - j,
                          begin > 0);
      }
    }
  }
}

}  // namespace

const TileKernel kTileAvx2 = multiply;

}  // namespace limbeck
