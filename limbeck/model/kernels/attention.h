/// Attention of one new token over a ragged, biased cache: the decode kernel.
///
/// Every KV head has its own number of slots, cut into parts (segments and tail) that are attended
/// where they lie and merged by log-sum-exp; nothing is copied, padded or masked. A slot's logit is
///   s = softcap(scale * (q . k)) + beta,
/// beta added after scaling and soft-capping (arXiv 2602.16284, section 2; footnote on beta).
/// Goals: read K and V once, at memory speed, in float32 arithmetic. Non-goals: causal masks (the
/// new token sees everything that is there), autograd, more than one query token a call.
#pragma once

#include "limbeck/io/dtype.h"

#include <cstdint>
#include <span>

namespace limbeck {

/// One part of a layer's cache as the kernels read it. Rows are head_dim elements, contiguous.
struct KvPart {
  const void* keys = nullptr;  ///< rows of the cache's dtype
  const void* values = nullptr;
  const float* bias = nullptr;      ///< by row; null = all zero
  const int64_t* begin = nullptr;   ///< [kv_heads] first row of each head
  const int64_t* length = nullptr;  ///< [kv_heads] rows of each head, may be 0
};

struct DecodeAttention {
  DType dtype = DType::bf16;  ///< of keys and values: bf16 or f32
  int64_t query_heads = 0;    ///< a multiple of kv_heads; head h reads KV head h / (Hq / Hkv)
  int64_t kv_heads = 0;
  int64_t head_dim = 0;          ///< even, 2 to 512
  float scale = 1.0F;            ///< softmax scale from the model's configuration
  float softcap = 0.0F;          ///< 0 = none, else softcap * tanh(s / softcap)
  const float* query = nullptr;  ///< [query_heads, head_dim], after norm and RoPE
  std::span<const KvPart> parts = {};
  float* output = nullptr;  ///< [query_heads, head_dim]; zero for a head without slots
  float* lse = nullptr;     ///< [query_heads] or null; -inf for a head without slots
};

/// The plain form, from the formula, in float64: the oracle of the tests.
void attention_decode_reference(const DecodeAttention& a);

/// The fast form. Uses OpenMP over (KV head, slice of slots) and AVX-512 and AMX where the
/// processor has them. Deterministic for a fixed thread count.
void attention_decode(const DecodeAttention& a);

/// Name of the code path that attention_decode takes on this processor: "portable", "avx512", or
/// "amx", which is AMX tiles for bf16 caches that many query heads share and AVX-512 for others.
const char* attention_decode_path();

}  // namespace limbeck
