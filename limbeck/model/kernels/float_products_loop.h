/// The loops of float_products.h around a tile of M rows and one panel. Internal linkage
/// throughout: files that include this are compiled for different processors.
///
/// `Tile::run<M>(a, row_step, depth_step, b, b_step, depth, sum)` gives sum[i][j] = sum over l of
/// a[i * row_step + l * depth_step] * b[l * b_step + j].
/// `Tile::dots<M, P>(x, y, y_step, from, depth, sum)` gives sum[i][j] = sum over `depth` numbers of
/// x[i] and vector j of y (FloatProductKernels::dots; runs y_step apart) from `from` on, in f64.
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

/// A multiple of kFloatRun: kDotRows rows of so many numbers and the vectors stay in the caches
/// next to the processor while all vectors pass.
constexpr int64_t kDotDepth = 1024;
constexpr int kDotRows = 6, kDotVectors = 4;

/// Vectors j0 to j0 + P - 1 of `count`.
template <class Tile, int M, int P>
void dots_of(const FloatDots& d, const float* y, int64_t row, int64_t j0, int64_t from) {
  double sum[M][P];
  const int64_t depth = from + kDotDepth < d.depth ? kDotDepth : d.depth - from;
  Tile::template dots<M, P>(d.x + row, y + j0 * kFloatRun, d.count * kFloatRun, from, depth, sum);
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < P; ++j) d.out[(row + i) * d.count + j0 + j] += sum[i][j];
}

template <class Tile, int M>
void dots_rows(const FloatDots& d, const float* y, int64_t row) {
  for (int64_t i = row * d.count; i < (row + M) * d.count; ++i) d.out[i] = 0;
  for (int64_t from = 0; from < d.depth; from += kDotDepth) {
    int64_t j = 0;
    for (; j + kDotVectors <= d.count; j += kDotVectors)
      dots_of<Tile, M, kDotVectors>(d, y, row, j, from);
    for (; j + 2 <= d.count; j += 2) dots_of<Tile, M, 2>(d, y, row, j, from);
    for (; j < d.count; ++j) dots_of<Tile, M, 1>(d, y, row, j, from);
  }
}

template <class Tile>
void dots_loop(const FloatDots& d, const float* y) {
  int64_t row = 0;
  for (; row + kDotRows <= d.rows; row += kDotRows) dots_rows<Tile, kDotRows>(d, y, row);
  for (; row < d.rows; ++row) dots_rows<Tile, 1>(d, y, row);
}

}  // namespace
}  // namespace limbeck
