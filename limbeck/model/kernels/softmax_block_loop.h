/// The loop of softmax_block() over rows for the vector kernels. Internal linkage throughout: files
/// that include this are compiled for different processors.
///
/// `Rows::weigh(b, r)` makes row r's logits weights and sets its inverse and lse;
/// `Rows::raise<N>(b, r, factor)` raises the columns' best by N rows from r on, whose weights
/// become probabilities by `factor`.
#pragma once

#include "limbeck/model/kernels/fast_math.h"
#include "limbeck/model/kernels/softmax_block.h"

namespace limbeck {
namespace {

template <class Rows>
void softmax_rows(const SoftmaxBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) Rows::weigh(b, r);
  if (b.best == nullptr) return;
  constexpr int kTogether = 4;
  const auto factor = [&](int64_t r) {
    return b.inverse[r] *
           (b.elsewhere != nullptr ? softmax_block_part(b.lse[r], b.elsewhere[r]) : 1.0F);
  };
  int64_t r = 0;
  for (; r + kTogether <= b.rows; r += kTogether) {
    const float f[kTogether] = {factor(r), factor(r + 1), factor(r + 2), factor(r + 3)};
    Rows::template raise<kTogether>(b, r, f);
  }
  for (; r < b.rows; ++r) {
    const float f = factor(r);
    Rows::template raise<1>(b, r, &f);
  }
}

}  // namespace
}  // namespace limbeck
