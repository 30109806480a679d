/// Mass-only orthogonal matching pursuit, as published (arXiv 2602.16284, section 3).
#pragma once

#include "limbeck/compact/fit/features.h"
#include "limbeck/compact/fit/published_targets.h"
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

/// Features by slot [T, n] f32, >= 0: exp(s - maximum of the row), times the root of the row's
/// weight.
/// The target is their sum over slots. Returns slots in order of choice; fewer than `limit` when
/// candidates run out, of which slots without any feature are none. After a refit gains are
/// computed again where bounds tell that they may have become the highest; the fit itself works on
/// the Gram of what is chosen and a Cholesky factor that grows. Sums are f64. A slot of which less
/// than 1e-10 is its own falls back to QR.
std::vector<int32_t> omp_select(const at::Tensor& features, const OmpOptions& options);

/// The same loop in f64 with every refit by literal_weights_plain(): the reference.
std::vector<int32_t> omp_select_plain(const at::Tensor& features, const OmpOptions& options);

/// The features of the max metric [T, n] f32, for omp_select(). Where the problem knows the highest
/// logits of its rows they are not sought again; `top` [n] takes them, unless it is null.
at::Tensor max_features(const HeadProblem& problem, at::Tensor* top = nullptr);
/// What the published fits compare with, but the logits, from the features of all slots and their
/// shift: nothing has to be exponentiated again. Outputs that the problem knows are taken over. Row
/// weights must be above 0.
PublishedTargets targets_of_features(const HeadProblem& problem, const at::Tensor& features,
                                     const at::Tensor& top);
/// The same by the formula, in f64.
at::Tensor max_features_plain(const HeadProblem& problem);

/// Gram orthogonal matching pursuit: c = G1 - G_:S w with w >= 0 exact, from the weights before;
/// takes the largest c. G [T, T] f32 or f64. With omega = M^2 it is OMP with one slot a step.
std::vector<int32_t> gomp(const at::Tensor& g, int64_t limit);
/// The same with every fit from the start: the reference.
std::vector<int32_t> gomp_plain(const at::Tensor& g, int64_t limit);

}  // namespace limbeck
