/// The loops of float_products.h around a tile of M rows and one panel. Internal linkage
/// throughout: files that include this are compiled for different processors.
///
/// `Tile::run<M>(a, row_step, depth_step, b, b_step, depth, sum)` gives sum[i][j] = sum over l of
/// a[i * row_step + l * depth_step] * b[l * b_step + j].
#pragma once

#include "limbeck/model/kernels/float_products.h"

namespace limbeck {
namespace {

constexpr int kFloatRows = 8;

template <class Tile>
void gram_loop(const float* x, const float* y, int64_t rows, int64_t width, double* gram) {
  float sum[kFloatRows][kFloatPanel];
  for (int64_t first = 0; first < width; first += kFloatRows)
    for (int64_t panel = first / kFloatPanel * kFloatPanel; panel < width; panel += kFloatPanel) {
      Tile::template run<kFloatRows>(x + first, 1, width, y + panel, width, rows, sum);
      for (int i = 0; i < kFloatRows; ++i)
        for (int j = 0; j < kFloatPanel; ++j)
          gram[(first + i) * width + panel + j] += static_cast<double>(sum[i][j]);
    }
}

template <class Tile, int M>
void norms_of(const float* x, int64_t width, const float* w, float* out) {
  float sum[M][kFloatPanel], norm[M] = {};
  for (int64_t panel = 0; panel < width; panel += kFloatPanel) {
    // Rows of W below the panel's last column are zero in it.
    Tile::template run<M>(x, width, 1, w + panel, width, panel + kFloatPanel, sum);
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < kFloatPanel; ++j) norm[i] += sum[i][j] * sum[i][j];
  }
  for (int i = 0; i < M; ++i) out[i] = norm[i];
}

template <class Tile>
void row_norms_loop(const float* x, int64_t rows, int64_t width, const float* w, float* out) {
  int64_t r = 0;
  for (; r + kFloatRows <= rows; r += kFloatRows)
    norms_of<Tile, kFloatRows>(x + r * width, width, w, out + r);
  for (; r < rows; ++r) norms_of<Tile, 1>(x + r * width, width, w, out + r);
}

}  // namespace
}  // namespace limbeck
