/// What all reference queries of a head see in its slots, in one pass: targets of the fits and the
/// coverage of each slot.
#pragma once

#include "limbeck/compact/fit/features.h"

#include <vector>

namespace limbeck {

struct HeadAttention {
  at::Tensor outputs;   ///< [n, D] f32: y = softmax(s) V
  at::Tensor lse;       ///< [n] f32: log of the row's mass
  at::Tensor part;      ///< [n] f32: part of the query's attention that lies in these slots
  at::Tensor coverage;  ///< [T] f32: highest probability that any query gives the slot
  at::Tensor reader;    ///< [T] i32: the row that gives it
  /// Highest logit, and the sum of exp(logit - top), both [n] f32: what the published fits compare
  /// with (published_targets.h). Where these are defined, the rows looked at the slots alone:
  /// `part` is 1, and coverage and reader are missing.
  at::Tensor top = {}, mass = {};
};

/// Rows of one KV head. bf16 queries, keys and values with head sizes that are multiples of 32 run
/// on tile products with f32 sums; everything else on the plain path.
struct HeadRows {
  at::Tensor queries;       ///< [n, D] contiguous
  at::Tensor keys, values;  ///< [T, D] contiguous, of the queries' dtype
  at::Tensor bias;          ///< [T] f32 or undefined
  double scale = 1.0;
  at::Tensor elsewhere;  ///< [n] f32 log of the mass that a query finds elsewhere; undefined: none
};
HeadAttention head_attention(const HeadRows& rows);
/// Results for consecutive parts of the rows as one.
HeadAttention join_attention(const std::vector<HeadAttention>& parts);
/// The same from the formula, in f32.
HeadAttention head_attention_plain(const HeadRows& rows);

}  // namespace limbeck
