/// Softmax of a block of attention rows that keeps what compaction wants to know of it.
///
/// One exponential an element: logits become weights in bf16 (for the product with the values,
/// which the row's `inverse` scales afterwards), their log-sum-exps, and for every column the
/// highest probability (of all that the row attends to, mass elsewhere included) and the row that
/// has it. Rows lie in the cache between the two products, as in flash attention.
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <cstdint>

namespace limbeck {

struct SoftmaxBlock {
  int64_t rows = 0, columns = 0;
  int64_t stride = 0;  ///< of logits and weights: a multiple of 32, columns or more
  /// [rows] columns that each row sees, or null: all. Not together with best.
  const int64_t* visible = nullptr;
  float* logits = nullptr;      ///< [rows, stride] dot products; overwritten
  const float* bias = nullptr;  ///< [columns] added after scaling, or null
  float scale = 1.0F;
  const float* elsewhere = nullptr;  ///< [rows] log of the mass that a row has outside, or null
  Bf16* weights = nullptr;           ///< [rows, stride] exp(logit - the row's highest); padding 0
  float* inverse = nullptr;          ///< [rows] 1 / sum of the weights before rounding, or 0
  float* lse = nullptr;              ///< [rows]
  float* best = nullptr;             ///< [columns] raised to the highest probability seen, or null
  int32_t* best_row = nullptr;       ///< [columns] its row; rows count from first_row
  int64_t first_row = 0;
};

/// A row of -inf gives zeros and lse -inf. Runs on the calling thread.
void softmax_block(const SoftmaxBlock& block);
/// In double, with the standard library.
void softmax_block_reference(const SoftmaxBlock& block);

/// The part of a row's attention that lies here.
float softmax_block_part(float lse, float elsewhere);

void softmax_block_portable(const SoftmaxBlock& block);
void softmax_block_avx2(const SoftmaxBlock& block);
void softmax_block_avx512(const SoftmaxBlock& block);

}  // namespace limbeck
