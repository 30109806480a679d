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
  const double* picked = nullptr;  ///< [rounded, before] L at the pivots, 0 behind the picks
  const double* root = nullptr;    ///< [picks, picks] lower, its diagonal inverted
  const double* c = nullptr;       ///< [picks, width]
  double* space = nullptr;         ///< [rounded, kPivotColumns]
};
inline constexpr int64_t kPivotGroup = 4;

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

/// w [kPivotGroup, 16 columns] = g - picked times l, over all rows that L' had before.
void remainder(const PivotRows& r, const PivotPlan& plan, int64_t pick, int64_t first, double* w) {
  constexpr int64_t kGroup = kPivotGroup;
  Eight a[kGroup] = {}, b[kGroup] = {};
  const double* picked = plan.picked + pick * r.before;
  const double* l = r.l + first;
  for (int64_t k = 0; k < r.before; ++k, l += r.stride) {
    const Eight x = eight(l), y = eight(l + 8);
    for (int i = 0; i < kGroup; ++i) {
      a[i] += picked[i * r.before + k] * x;
      b[i] += picked[i * r.before + k] * y;
    }
  }
  for (int64_t i = 0; i < kGroup && pick + i < plan.picks; ++i) {
    const double* g = r.l + (r.before + pick + i) * r.stride + first;
    eight(w + i * kPivotColumns) = eight(g) - a[i];
    eight(w + i * kPivotColumns + 8) = eight(g + 8) - b[i];
  }
}

void pivot_columns(const PivotRows& r, const PivotPlan& plan, int64_t first) {
  double* w = plan.space;
  for (int64_t i = 0; i < plan.picks; i += kPivotGroup)
    for (int64_t j = 0; j < kPivotColumns; j += 16)
      remainder(r, plan, i, first + j, w + i * kPivotColumns + j);
  // Rows of L' by forward substitution.
  for (int64_t i = 0; i < plan.picks; ++i) {
    const double* root = plan.root + i * plan.picks;
    double* l = r.l + (r.before + i) * r.stride + first;
    for (int64_t j = 0; j < kPivotColumns; j += 8) {
      Eight x = eight(w + i * kPivotColumns + j);
      for (int64_t k = 0; k < i; ++k) x -= root[k] * eight(w + k * kPivotColumns + j);
      x *= root[i];
      eight(w + i * kPivotColumns + j) = x;
      eight(l + j) = x;
    }
  }
  const int64_t count = r.slots - first < kPivotColumns ? r.slots - first : kPivotColumns;
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
