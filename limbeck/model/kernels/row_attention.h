/// Attention of many rows over the slots of one head, for processors with AMX tiles: what
/// compaction wants to know of a head in one call.
///
/// Beside outputs and log masses it finds for every slot the highest probability that a row gives
/// it, of all that the row attends to. That takes the row's whole mass, so the logits are computed
/// twice, which on tiles is cheaper than to keep them: once for an online softmax over blocks of
/// slots (arXiv 2205.14135), once, without an exponential, for the highest probabilities.
/// Needs a few hundred KiB beside the packed keys and values, whatever the number of slots.
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <cstdint>

namespace limbeck {

struct RowAttention {
  int64_t rows = 0, slots = 0;       ///< slots: at least 1
  int64_t dim = 0;                   ///< a multiple of 32, at most kRowAttentionDimMax
  const Bf16* queries = nullptr;     ///< [rows, dim]
  const Bf16* keys = nullptr;        ///< [slots, dim]
  const Bf16* values = nullptr;      ///< [slots, dim], finite
  const float* bias = nullptr;       ///< [slots] added after scaling, or null
  float scale = 1.0F;                ///< above 0
  const float* elsewhere = nullptr;  ///< [rows] log of the mass that a row has outside, or null
  float* outputs = nullptr;          ///< [rows, dim] f32; weights are rounded to bf16
  float* lse = nullptr;              ///< [rows] log mass in these slots; -inf gives outputs of 0
  float* best = nullptr;             ///< [slots] highest probability, 0 where none is above 0
  int32_t* best_row = nullptr;       ///< [slots] the first row that gives it, or 0
};

inline constexpr int64_t kRowAttentionDimMax = 256;

/// Whether the path in force has code for heads of this size.
bool row_attention_serves(int64_t dim);
/// Runs on the calling thread.
void row_attention(const RowAttention& a);
/// From the formula, in double.
void row_attention_reference(const RowAttention& a);

/// Allocates nothing: code for one processor must not carry copies of the standard library's.
struct RowAttentionKernel {
  int64_t (*space)(const RowAttention&) = nullptr;          ///< bytes of working memory
  void (*run)(const RowAttention&, char* space) = nullptr;  ///< space: on a cache line
};
extern const RowAttentionKernel kRowAttentionAmx;  ///< nulls where the build has none

}  // namespace limbeck
