/// Attention of many rows on our own tile products, for processors whose bf16 dot products torch's
/// flash attention does not use, and for those where torch has no vector code for bf16 at all.
#pragma once

#include <ATen/core/Tensor.h>

namespace limbeck {

struct TileAttentionInput {
  at::Tensor queries;       ///< [H, R, D] bf16 contiguous: R rows of all query heads of a KV head
  at::Tensor keys, values;  ///< [H, t, D] bf16, rows contiguous
  at::Tensor bias;          ///< [H, t] f32 contiguous, or undefined
  /// 0: every row sees all keys. n: rows repeat every n (a group's heads), the i-th of them sees
  /// the first i + 1 keys.
  int64_t causal = 0;
  double scale = 1.0;
};
struct TileAttention {
  at::Tensor out;  ///< [H, R, D] bf16
  at::Tensor lse;  ///< [H, R] f32 log masses
};

/// True where it is faster than torch's: 16-bit dot products but no tile units, or AVX2 alone.
bool tile_attention_serves(const TileAttentionInput& in);
TileAttention tile_attention(const TileAttentionInput& in);

}  // namespace limbeck
