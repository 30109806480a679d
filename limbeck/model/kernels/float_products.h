/// Products of f32 rows at full precision, whatever precision is set for matrices around them: what
/// leverage scores (arXiv 2507.08143) and the published fits (arXiv 2602.16284) are made of.
#pragma once

#include <cstdint>

namespace limbeck {

/// Rows are padded with zeros to a multiple of so many columns.
inline constexpr int64_t kFloatPanel = 32;

/// gram [width, width] f64 += x^T y for rows x, y [rows, width], in the upper triangle and, below
/// it, in the rest of the panels that the diagonal crosses. Sums run in f32 over some hundred rows
/// and in f64 beyond. `width` is a multiple of kFloatPanel.
void float_gram(const float* x, const float* y, int64_t rows, int64_t width, double* gram);

/// out[r] = ||x_r W||^2 for rows x [rows, width] and an upper triangular W [width, width] with
/// zeros below the diagonal. `width` is a multiple of kFloatPanel.
void float_row_norms(const float* x, int64_t rows, int64_t width, const float* w, float* out);

/// The most vectors that float_dots() multiplies by at once.
inline constexpr int64_t kFloatDots = 8;

/// Rows x_r and vectors y_j of `depth` numbers; `count` is at most kFloatDots.
struct FloatDots {
  const float* const* x = nullptr;
  int64_t rows = 0;
  const float* const* y = nullptr;
  int64_t count = 0, depth = 0;
  double* out = nullptr;  ///< [rows, count] x_r . y_j
};
/// Products and sums in f64: rows that do not fit the caches take the same time in f32.
void float_dots(const FloatDots& dots);
/// out[r] = x_r . y for one y [depth] f64; likewise.
void float_dots(const float* const* x, int64_t rows, const double* y, int64_t depth, double* out);

/// Rows x_r of `depth` numbers and their weights.
struct FloatRest {
  const float* const* x = nullptr;
  const double* weights = nullptr;
  int64_t rows = 0, depth = 0;
  double* out = nullptr;  ///< [depth]
};
/// out -= sum over r of weights[r] x_r, in f64.
void float_rest(const FloatRest& rest);

/// B [depth, columns] by panels of kFloatPanel columns: [panels, depth, kFloatPanel], zeros behind
/// the last column.
void float_pack(const float* b, int64_t depth, int64_t columns, float* panels);

/// Some columns of a packed B times all of them: columns of B^T B.
struct FloatColumns {
  const float* panels = nullptr;
  int64_t depth = 0, columns = 0;
  const int64_t* index = nullptr;  ///< [count] in [0, columns)
  int64_t count = 0;
  double* out = nullptr;  ///< [count, columns] b_index[i] . b_j
};
/// Sums run in f32 over some hundred rows and in f64 beyond.
void float_columns(const FloatColumns& columns);

/// The same by plain sums in f64.
void float_gram_reference(const float* x, const float* y, int64_t rows, int64_t width,
                          double* gram);
void float_row_norms_reference(const float* x, int64_t rows, int64_t width, const float* w,
                               float* out);
void float_dots_reference(const FloatDots& dots);
void float_dots_reference(const float* const* x, int64_t rows, const double* y, int64_t depth,
                          double* out);
void float_rest_reference(const FloatRest& rest);
void float_columns_reference(const FloatColumns& columns);

/// Private: numbers of a run, 64 bytes of f32.
inline constexpr int64_t kFloatRun = 16;
/// Private: what float_gram() multiplies at once, by panels as float_pack() lays them out.
struct FloatPanels {
  const float *x = nullptr, *y = nullptr;
  int64_t rows = 0, width = 0;
  double* gram = nullptr;
};
/// Private: the code for one kind of processor.
struct FloatProductKernels {
  void (*gram)(const FloatPanels& panels);
  void (*row_norms)(const float* x, int64_t rows, int64_t width, const float* w, float* out);
  /// y: the vectors in f64, so that they are converted once, by runs of kFloatRun numbers, [runs,
  /// count, kFloatRun], zeros behind the last.
  void (*dots)(const FloatDots& dots, const double* y);
  void (*rest)(const FloatRest& rest);
  void (*columns)(const FloatColumns& columns);
};
extern const FloatProductKernels kFloatProductsAvx2;
extern const FloatProductKernels kFloatProductsAvx512;

}  // namespace limbeck
