/// Products of the rows of one bf16 matrix with one another, for processors with AMX tiles: columns
/// and blocks of a Gram matrix that is never formed, or all of it.
///
/// Rows are gathered as they are packed into tiles; results are sums in f32, stored as f64 for what
/// they are factorised in.
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <cstdint>

namespace limbeck {

/// Some rows of the matrix: those named, or `count` from `first` on.
struct RowChoice {
  int64_t count = 0;
  const int64_t* rows = nullptr;
  int64_t first = 0;
  int64_t operator[](int64_t i) const { return rows != nullptr ? rows[i] : first + i; }
};

/// out[i, j] = x[left[i]] . x[right[j]].
struct RowProducts {
  const Bf16* x = nullptr;  ///< [rows, depth]
  int64_t depth = 0;        ///< a multiple of 32
  RowChoice left, right;    ///< the left ones are packed first: the shorter side is best there
  double* out = nullptr;    ///< [left.count, right.count]
};

/// Whether the path in force has code for it.
bool row_products_serve();
/// Runs on the calling thread.
void row_products(const RowProducts& p);
/// In double.
void row_products_reference(const RowProducts& p);

/// Allocates nothing, as RowAttentionKernel.
struct RowProductsKernel {
  int64_t (*space)(const RowProducts&) = nullptr;          ///< bytes of working memory
  void (*run)(const RowProducts&, char* space) = nullptr;  ///< space: on a cache line
};
extern const RowProductsKernel kRowProductsAmx;  ///< nulls where the build has none

}  // namespace limbeck
