#include "limbeck/model/kernels/tile_product.h"

#include "limbeck/model/kernels/cpu_path.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace limbeck {
namespace {

bool packs_f32() { return cpu_path() == CpuPath::avx2; }

/// Where element (i, j) of B lies in the packed form of f32.
int64_t place_f32(int64_t i, int64_t j, int64_t k) {
  return j / kTileGroup * kTileGroup * k + i * kTileGroup + j % kTileGroup;
}

/// Where element (i, j) of B lies in the packed form of bf16.
int64_t place(int64_t i, int64_t j, int64_t k) {
  return j / kTilePanel * kTilePanel * k + i / 2 * 2 * kTilePanel + j % kTilePanel * 2 + i % 2;
}

void tile_product_portable(const TileProduct& p) {
  std::vector<float> a(static_cast<size_t>(p.k));
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t l = 0; l < p.k; ++l) a[l] = to_float(p.a[i * p.a_stride + l]);
    for (int64_t first = 0; first < p.n; first += kTilePanel) {
      float sum[kTilePanel] = {};
      const Bf16* b = p.packed + place(0, first, p.packed_k);
      for (int64_t l = 0; l < p.k; l += 2, b += 2 * kTilePanel)
        for (int64_t j = 0; j < kTilePanel; ++j)
          sum[j] += a[l] * to_float(b[2 * j]) + a[l + 1] * to_float(b[2 * j + 1]);
      std::copy_n(sum, std::min(kTilePanel, p.n - first), p.c + i * p.c_stride + first);
    }
  }
}

}  // namespace

int64_t tile_pack_size(int64_t k, int64_t n) {
  return (n + kTilePanel - 1) / kTilePanel * kTilePanel * k * (packs_f32() ? 2 : 1);
}

void tile_pack(const Bf16* b, int64_t k, int64_t n, int64_t row_step, int64_t column_step,
               Bf16* packed) {
  for (int64_t first = 0; first < n; first += kTilePanel) {
    const int64_t columns = std::min(kTilePanel, n - first);
    if (packs_f32()) {
      tile_pack_avx2(b + first * column_step, k, columns, row_step, column_step,
                     reinterpret_cast<float*>(packed) + place_f32(0, first, k));
      continue;
    }
    Bf16* panel = packed + place(0, first, k);
    if (columns < kTilePanel) std::fill(panel, panel + k * kTilePanel, Bf16{0});
    if (row_step == 1) {  // the two elements of a pair lie side by side
      for (int64_t j = 0; j < columns; ++j) {
        const Bf16* from = b + (first + j) * column_step;
        for (int64_t i = 0; i < k; i += 2)
          std::memcpy(panel + i * kTilePanel + 2 * j, from + i, 2 * sizeof(Bf16));
      }
      continue;
    }
    for (int64_t i = 0; i < k; i += 2) {
      const Bf16 *even = b + i * row_step + first * column_step, *odd = even + row_step;
      Bf16* to = panel + i * kTilePanel;
      for (int64_t j = 0; j < columns; ++j) {
        to[2 * j] = even[j * column_step];
        to[2 * j + 1] = odd[j * column_step];
      }
    }
  }
}

void tile_product(const TileProduct& product) {
  const CpuPath path = cpu_path();
  if (path >= CpuPath::avx512_bf16 && kTileBf16Dot != nullptr) return kTileBf16Dot(product);
  if (path >= CpuPath::avx512) return kTileAvx512(product);
  if (path == CpuPath::avx2) return kTileAvx2(product);
  tile_product_portable(product);
}

void tile_product_reference(const TileProduct& p) {
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l)
        sum += static_cast<double>(to_float(p.a[i * p.a_stride + l])) *
               (packs_f32() ? reinterpret_cast<const float*>(p.packed)[place_f32(l, j, p.packed_k)]
                            : to_float(p.packed[place(l, j, p.packed_k)]));
      p.c[i * p.c_stride + j] = static_cast<float>(sum);
    }
}

}  // namespace limbeck
