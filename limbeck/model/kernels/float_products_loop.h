/// The loops of float_products.h around a tile of M rows and one panel. Internal linkage
/// throughout: files that include this are compiled for different processors.
///
/// `Tile::run<M>(a, row_step, depth_step, b, b_step, depth, sum)` gives sum[i][j] = sum over l of
/// a[i * row_step + l * depth_step] * b[l * b_step + j].
///
/// `Tile::rest<M>(x, next, weights, from, depth, out)` takes weights[i] x[i] from `depth` numbers
/// of out from `from` on; next[i] is read there after it.
///
/// `Tile::dots<M, P>(x, y, y_step, from, depth, sum)` gives sum[i][j] = sum over `depth` numbers of
/// x[i] and vector j of y (FloatProductKernels::dots; runs y_step apart) from `from` on, in f64.
#pragma once

#include "limbeck/model/kernels/float_products.h"

namespace limbeck {
namespace {

constexpr int kFloatRows = 8;

/// Rows lie anywhere, and processors find out late, and anew in every page, that they are read: so
/// many numbers ahead a row is asked for.
constexpr int64_t kFloatAhead = 256;

/// Rows whose sums are f32, and the square of a Gram matrix that stays in the second-level cache
/// while all rows pass.
constexpr int64_t kGramRun = 128, kGramSquare = 256;

/// Rows [first, first + kGramSquare) of the Gram matrix in one panel, as far as it is computed.
template <class Tile>
void gram_panel(const FloatPanels& p, int64_t run, int64_t first, int64_t panel) {
  const int64_t depth = run + kGramRun < p.rows ? kGramRun : p.rows - run;
  int64_t end = first + kGramSquare < p.width ? first + kGramSquare : p.width;
  if (end > panel + kFloatPanel) end = panel + kFloatPanel;
  float sum[kFloatRows][kFloatPanel];
  for (int64_t row = first; row < end; row += kFloatRows) {
    const float* x = p.x + (row / kFloatPanel * p.rows + run) * kFloatPanel + row % kFloatPanel;
    Tile::template run<kFloatRows>(x, 1, kFloatPanel, p.y + panel * p.rows + run * kFloatPanel,
                                   kFloatPanel, depth, sum);
    for (int i = 0; i < kFloatRows; ++i)
      for (int j = 0; j < kFloatPanel; ++j)
        p.gram[(row + i) * p.width + panel + j] += static_cast<double>(sum[i][j]);
  }
}

template <class Tile>
void gram_loop(const FloatPanels& p) {
  for (int64_t first = 0; first < p.width; first += kGramSquare)
    for (int64_t side = first; side < p.width; side += kGramSquare)
      for (int64_t run = 0; run < p.rows; run += kGramRun)
        for (int64_t panel = side; panel < side + kGramSquare && panel < p.width;
             panel += kFloatPanel)
          gram_panel<Tile>(p, run, first, panel);
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
void dots_of(const FloatDots& d, const double* y, int64_t row, int64_t j0, int64_t from) {
  double sum[M][P];
  const int64_t depth = from + kDotDepth < d.depth ? kDotDepth : d.depth - from;
  Tile::template dots<M, P>(d.x + row, y + j0 * kFloatRun, d.count * kFloatRun, from, depth, sum);
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < P; ++j) d.out[(row + i) * d.count + j0 + j] += sum[i][j];
}

template <class Tile, int M>
void dots_rows(const FloatDots& d, const double* y, int64_t row) {
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
void dots_loop(const FloatDots& d, const double* y) {
  int64_t row = 0;
  for (; row + kDotRows <= d.rows; row += kDotRows) dots_rows<Tile, kDotRows>(d, y, row);
  for (; row < d.rows; ++row) dots_rows<Tile, 1>(d, y, row);
}

/// Rows whose weights stay in registers; kDotDepth numbers of `out` stay in the first cache.
constexpr int kRestRows = 8;

template <class Tile>
void rest_loop(const FloatRest& rest) {
  for (int64_t from = 0; from < rest.depth; from += kDotDepth) {
    const int64_t depth = from + kDotDepth < rest.depth ? kDotDepth : rest.depth - from;
    int64_t row = 0;
    for (; row + kRestRows <= rest.rows; row += kRestRows) {
      const int64_t next = row + 2 * kRestRows <= rest.rows ? row + kRestRows : row;
      Tile::template rest<kRestRows>(rest.x + row, rest.x + next, rest.weights + row, from, depth,
                                     rest.out);
    }
    for (; row < rest.rows; ++row)
      Tile::template rest<1>(rest.x + row, rest.x + row, rest.weights + row, from, depth, rest.out);
  }
}

/// Columns that one tile takes, and rows whose sums are f32: half a panel of these and the columns
/// stay in the cache next to the processor. kColumnDepth rows of all columns stay in the next one.
constexpr int kColumnTile = 6;
constexpr int64_t kColumnRun = 192, kColumnDepth = 4 * kColumnRun, kColumnsMost = 48;

/// Rows [from, from + depth) of the columns, by tiles: [tiles, depth, kColumnTile], zeros behind
/// the last column.
inline void gather_columns(const FloatColumns& c, int64_t at, int64_t count, int64_t from,
                           int64_t depth, float* x) {
  for (int64_t t = 0; t < count; t += kColumnTile, x += depth * kColumnTile)
    for (int64_t i = 0; i < kColumnTile; ++i) {
      if (t + i >= count) {
        for (int64_t l = 0; l < depth; ++l) x[l * kColumnTile + i] = 0;
        continue;
      }
      const int64_t j = c.index[at + t + i];
      const float* b =
          c.panels + (j / kFloatPanel * c.depth + from) * kFloatPanel + j % kFloatPanel;
      for (int64_t l = 0; l < depth; ++l) x[l * kColumnTile + i] = b[l * kFloatPanel];
    }
}

/// out += those rows of the columns x times all columns of B.
template <class Tile>
void add_columns(const FloatColumns& c, const float* x, int64_t at, int64_t count, int64_t from,
                 int64_t depth) {
  float sum[kColumnTile][kFloatPanel];
  for (int64_t first = 0; first < c.columns; first += kFloatPanel) {
    const float* panel = c.panels + (first / kFloatPanel * c.depth + from) * kFloatPanel;
    const int64_t width = c.columns - first < kFloatPanel ? c.columns - first : kFloatPanel;
    for (int64_t run = 0; run < depth; run += kColumnRun) {
      const int64_t rows = depth - run < kColumnRun ? depth - run : kColumnRun;
      for (int64_t t = 0; t < count; t += kColumnTile) {
        Tile::template run<kColumnTile>(x + (t * depth + run * kColumnTile), 1, kColumnTile,
                                        panel + run * kFloatPanel, kFloatPanel, rows, sum);
        for (int64_t i = 0; i < kColumnTile && t + i < count; ++i) {
          double* out = c.out + (at + t + i) * c.columns + first;
          for (int64_t j = 0; j < width; ++j) out[j] += static_cast<double>(sum[i][j]);
        }
      }
    }
  }
}

template <class Tile>
void columns_loop(const FloatColumns& c) {
  alignas(64) static thread_local float x[kColumnsMost * kColumnDepth];
  for (int64_t i = 0; i < c.count * c.columns; ++i) c.out[i] = 0;
  for (int64_t at = 0; at < c.count; at += kColumnsMost) {
    const int64_t count = c.count - at < kColumnsMost ? c.count - at : kColumnsMost;
    for (int64_t from = 0; from < c.depth; from += kColumnDepth) {
      const int64_t depth = c.depth - from < kColumnDepth ? c.depth - from : kColumnDepth;
      gather_columns(c, at, count, from, depth, x);
      add_columns<Tile>(c, x, at, count, from, depth);
    }
  }
}

template <class Tile>
constexpr FloatProductKernels float_product_loops() {
  return {gram_loop<Tile>, row_norms_loop<Tile>, dots_loop<Tile>, rest_loop<Tile>,
          columns_loop<Tile>};
}

}  // namespace
}  // namespace limbeck
