/// Mass-only orthogonal matching pursuit, as published (arXiv 2602.16284, section 3).
#pragma once

#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/fit/weights.h"

namespace limbeck {

/// How many slots a step takes and how often the weights are refitted, while |S| < below.
struct OmpPace {
  int64_t below, take, interval;
};

struct OmpOptions {
  int64_t limit = 0;
  std::vector<OmpPace> pace = {{INT64_MAX, 1, 1}};       ///< by rising `below`
  LiteralWeights weights{0, 1e-12, 1096.6331584284585};  ///< e^7
  bool drop = true;
  double drop_cutoff = -7.0;  ///< slots with log w below it are dropped and banned, thrice at most
};

/// Phi [n, T] f64 = exp(s - row maximum); target = row sums. Returns slots in order of choice;
/// fewer than `limit` when candidates run out. The normal equations of the refits grow row by row
/// and are solved by Cholesky; a pivot below 1e-10 falls back to QR.
std::vector<int32_t> omp_select(const at::Tensor& phi, const OmpOptions& options);

/// The same loop with every refit by literal_weights(): the reference.
std::vector<int32_t> omp_select_plain(const at::Tensor& phi, const OmpOptions& options);

/// The max metric: exp(s - max of the row) [n, T] f64.
at::Tensor max_features(const HeadProblem& problem);

}  // namespace limbeck
