/// The loops of pivoting.h.
///
/// Private. Included by pivoting_portable.cpp, pivoting_avx2.cpp and pivoting_avx512.cpp, which
/// differ in their compiler flags only; see rowwise_rows.h.
#pragma once

#include "limbeck/model/kernels/pivoting.h"

namespace limbeck {

/// What pivot_rows() has worked out before it turns to all slots.
struct PivotPlan {
  int64_t picks = 0, rounded = 0;  ///< the latter a multiple of kPivotGroup
  const double* picked = nullptr;  ///< [before, rounded] L at the pivots, 0 behind the picks
  const double* root = nullptr;    ///< [picks, picks] lower, its diagonal inverted
  const double* c = nullptr;       ///< [picks, width]
  double* space = nullptr;         ///< [rounded, kPivotColumns]
};
inline constexpr int64_t kPivotGroup = 8;

struct PivotKernels {
  double (*block)(const PivotBlock&, int64_t pivot, double* space);  ///< space [size + width]
  void (*rows)(const PivotRows&, const PivotPlan&);
};
extern const PivotKernels kPivotPortable, kPivotAvx2, kPivotAvx512;

namespace {

/// Eight numbers, in as many registers as that takes, and the same wherever numbers lie in memory.
using Eight = double __attribute__((vector_size(64)));
using LooseEight = double __attribute__((vector_size(64), aligned(8), may_alias));

inline const LooseEight& eight(const double* p) { return *reinterpret_cast<const LooseEight*>(p); }
inline LooseEight& eight(double* p) { return *reinterpret_cast<LooseEight*>(p); }

inline double sum8(const Eight& x) {
  double s = 0;
  for (int i = 0; i < 8; ++i) s += x[i];
  return s;
}

double pivot_one(const PivotBlock& b, int64_t pivot, double* space) {
  double* __restrict l = space;
  double* __restrict c = space + b.size;
  const double* g = b.g + pivot * b.size;
  const double inverse = 1.0 / __builtin_sqrt(g[pivot]);
  for (int64_t j = 0; j < b.size; ++j) l[j] = g[j] * inverse;
  Eight energy = {};
  for (int64_t k = 0; k < b.width; k += 8) {
    const Eight x = eight(b.h + pivot * b.width + k) * inverse;
    eight(c + k) = x;
    energy += x * x;
  }
  for (int64_t j = 0; j < b.size; ++j) {
    const double lj = l[j];
    double* __restrict row = b.g + j * b.size;
    for (int64_t i = 0; i < b.size; ++i) row[i] -= lj * l[i];
    Eight squares = {};
    for (int64_t k = 0; k < b.width; k += 8) {
      const Eight x = eight(b.h + j * b.width + k) - lj * eight(c + k);
      eight(b.h + j * b.width + k) = x;
      squares += x * x;
    }
    b.squares[j] = sum8(squares);
  }
  return sum8(energy);
}

/// Accumulators of a step: as many as there are registers for.
#ifdef __AVX512F__
constexpr int kRows = 8, kRuns = 2;
#else
constexpr int kRows = 4, kRuns = 1;
#endif

/// w [kRows, kRuns times 8 columns] -= picked times what L had before of those columns.
void remainder(const PivotRows& r, const PivotPlan& plan, int64_t pick, const double* l,
               double* w) {
  Eight sum[kRows][kRuns] = {};
  const double* picked = plan.picked + pick;
  for (int64_t k = 0; k < r.before; ++k, l += kPivotColumns, picked += plan.rounded) {
    Eight x[kRuns];
    for (int j = 0; j < kRuns; ++j) x[j] = eight(l + 8 * j);
    for (int i = 0; i < kRows; ++i)
      for (int j = 0; j < kRuns; ++j) sum[i][j] += picked[i] * x[j];
  }
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kRuns; ++j) eight(w + i * kPivotColumns + 8 * j) -= sum[i][j];
}

void pivot_columns(const PivotRows& r, const PivotPlan& plan, int64_t first) {
  double* w = plan.space;
  const int64_t count = r.slots - first < kPivotColumns ? r.slots - first : kPivotColumns;
  for (int64_t i = 0; i < plan.rounded; ++i)
    for (int64_t j = 0; j < kPivotColumns; ++j)
      w[i * kPivotColumns + j] = i < plan.picks && j < count ? r.g[i * r.slots + first + j] : 0.0;
  for (int64_t i = 0; i < plan.rounded; i += kRows)
    for (int64_t j = 0; j < kPivotColumns; j += 8 * kRuns)
      remainder(r, plan, i, r.l.at(first, 0) + j, w + i * kPivotColumns + j);
  // What the pivots have of one another, by forward substitution.
  for (int64_t i = 0; i < plan.picks; ++i) {
    const double* root = plan.root + i * plan.picks;
    double* l = r.l.at(first, r.before + i);
    for (int64_t j = 0; j < kPivotColumns; j += 8) {
      Eight x = eight(w + i * kPivotColumns + j);
      for (int64_t k = 0; k < i; ++k) x -= root[k] * eight(w + k * kPivotColumns + j);
      x *= root[i];
      eight(w + i * kPivotColumns + j) = x;
      eight(l + j) = x;
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    double* h = r.h + (first + j) * r.width;
    const double* x = w + j;
    Eight squares = {};
    for (int64_t k = 0; k < r.width; k += 8) {
      Eight y = eight(h + k);
      for (int64_t i = 0; i < plan.picks; ++i)
        y -= x[i * kPivotColumns] * eight(plan.c + i * r.width + k);
      eight(h + k) = y;
      squares += y * y;
    }
    r.squares[first + j] = sum8(squares);
    double explained = 0;
    for (int64_t i = 0; i < plan.picks; ++i)
      explained += x[i * kPivotColumns] * x[i * kPivotColumns];
    r.diagonal[first + j] -= explained;
  }
}

void pivot_all(const PivotRows& r, const PivotPlan& plan) {
  for (int64_t first = 0; first < r.slots; first += kPivotColumns) pivot_columns(r, plan, first);
}

constexpr PivotKernels kPivot{pivot_one, pivot_all};

}  // namespace
}  // namespace limbeck
