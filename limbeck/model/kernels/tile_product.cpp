#include "limbeck/model/kernels/tile_product.h"

#include "limbeck/model/kernels/cpu_path.h"

#include <algorithm>
#include <vector>

namespace limbeck {
namespace {

/// Where element (i, j) of B lies in the packed form.
int64_t place(int64_t i, int64_t j, int64_t k) {
  return j / kTilePanel * kTilePanel * k + i / 2 * 2 * kTilePanel + j % kTilePanel * 2 + i % 2;
}

void tile_product_portable(const TileProduct& p) {
  std::vector<float> a(static_cast<size_t>(p.k));
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t l = 0; l < p.k; ++l) a[l] = to_float(p.a[i * p.a_stride + l]);
    for (int64_t first = 0; first < p.n; first += kTilePanel) {
      float sum[kTilePanel] = {};
      const Bf16* b = p.packed + place(0, first, p.k);
      for (int64_t l = 0; l < p.k; l += 2, b += 2 * kTilePanel)
        for (int64_t j = 0; j < kTilePanel; ++j)
          sum[j] += a[l] * to_float(b[2 * j]) + a[l + 1] * to_float(b[2 * j + 1]);
      std::copy_n(sum, std::min(kTilePanel, p.n - first), p.c + i * p.c_stride + first);
    }
  }
}

}  // namespace

void tile_pack(const Bf16* b, int64_t k, int64_t n, int64_t row_step, int64_t column_step,
               Bf16* packed) {
  for (int64_t first = 0; first < n; first += kTilePanel)
    for (int64_t i = 0; i < k; i += 2) {
      Bf16* to = packed + place(i, first, k);
      for (int64_t j = 0; j < kTilePanel; ++j)
        for (int64_t odd = 0; odd < 2; ++odd)
          to[2 * j + odd] =
              first + j < n ? b[(i + odd) * row_step + (first + j) * column_step] : Bf16{0};
    }
}

void tile_product(const TileProduct& product) {
  const CpuPath path = cpu_path();
  if (path >= CpuPath::avx512_bf16 && kTileBf16Dot != nullptr) return kTileBf16Dot(product);
  if (path >= CpuPath::avx512) return kTileAvx512(product);
  tile_product_portable(product);
}

void tile_product_reference(const TileProduct& p) {
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l)
        sum += static_cast<double>(to_float(p.a[i * p.a_stride + l])) *
               to_float(p.packed[place(l, j, p.k)]);
      p.c[i * p.c_stride + j] = static_cast<float>(sum);
    }
}

}  // namespace limbeck
