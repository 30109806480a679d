/// Weighted attention features of a head with the targets that a choice of slots explains.
#pragma once

#include "limbeck/compact/fit/features.h"

namespace limbeck {

struct RowFeatures {
  at::Tensor a;        ///< [m, T] f32 sqrt(omega) A
  at::Tensor targets;  ///< [m, 1 + D] f32 sqrt(omega) [lam 1, Y - v0]
  at::Tensor energy;   ///< [T] f64 squares of sqrt(omega) A, summed over all rows of the problem
  at::Tensor mean;     ///< [1, D] f32 v0
  double total = 0;    ///< sum of omega
  double lam = 0;      ///< weight of the mass, see wpc_mass_weight()
};

/// m = n: a row for each reference query.
RowFeatures row_features(HeadProblem p, double lam_rel);

/// m = min(n, most): each row is a sum of n / most of them, drawn at random, with random signs. As
/// the rows of a CountSketch, B' B estimates A' Omega A without bias, but no two of m rows fall
/// together while another has none. Unlike a sample of as many rows it misses nothing: a slot that
/// a single query reads keeps its energy.
RowFeatures mixed_row_features(HeadProblem p, int64_t most, double lam_rel, uint64_t seed);

}  // namespace limbeck
