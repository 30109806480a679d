/// Steps of a pivoted Cholesky factorisation with right sides, in float64.
///
/// G [slots, slots] is taken apart into L L' pivot after pivot, and with it H [slots, width], what
/// every slot has of the right sides: H loses L C, so that the squares of its rows over what is
/// left of G's diagonal are what each slot would explain (compact/fit/wpc.h). A tensor library
/// does each of these steps in a pass of its own over all slots. On the calling thread.
#pragma once

#include <cstdint>

namespace limbeck {

/// Rows of H have a multiple of this many numbers.
inline constexpr int64_t kPivotWidth = 8;

/// L by panels of kPivotColumns slots, [panels, limit, kPivotColumns]: what belongs to a panel lies
/// together, whatever the number of slots.
inline constexpr int64_t kPivotColumns = 64;
struct PivotFactor {
  double* l = nullptr;
  int64_t limit = 0;  ///< pivots that there is room for
  static int64_t size(int64_t slots, int64_t limit) {
    return (slots + kPivotColumns - 1) / kPivotColumns * kPivotColumns * limit;
  }
  /// What slot `slot` has of pivot k; that of pivot k + 1 lies kPivotColumns further on.
  double* at(int64_t slot, int64_t k) const {
    return l + (slot / kPivotColumns * limit + k) * kPivotColumns + slot % kPivotColumns;
  }
};

/// One pivot among a few candidates.
struct PivotBlock {
  int64_t size = 0, width = 0;
  double* g = nullptr;        ///< [size, size] symmetric
  double* h = nullptr;        ///< [size, width]
  double* squares = nullptr;  ///< [size] of h by row
};
/// g -= l l' and h -= l c' with l = g[pivot] / root, c = h[pivot] / root and root =
/// sqrt(g[pivot, pivot]), which must be above 0. Returns the squares of c.
double pivot_block(const PivotBlock& block, int64_t pivot);
double pivot_block_reference(const PivotBlock& block, int64_t pivot);

/// Several pivots, known already, for all slots at once.
struct PivotRows {
  int64_t slots = 0, picks = 0, width = 0;
  int64_t before = 0;               ///< pivots of earlier calls
  const int64_t* pivots = nullptr;  ///< [picks] slots
  const double* g = nullptr;        ///< [picks, slots] the pivots' rows of G
  PivotFactor l;                    ///< gains the pivots [before, before + picks)
  double* diagonal = nullptr;       ///< [slots] loses the squares of the new rows
  double* h = nullptr;              ///< [slots, width]
  double* squares = nullptr;        ///< [slots] of h by row, renewed
};
/// Returns how many pivots had something left: at the first that has not it stops, having changed
/// nothing on behalf of that one and those behind it, whose part of L is undefined.
int64_t pivot_rows(const PivotRows& rows);
int64_t pivot_rows_reference(const PivotRows& rows);

}  // namespace limbeck
