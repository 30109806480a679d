/// The work of one thread at a time: a run of slots of one KV head, for the query heads reading it.
///
/// Private to the kernels. Plain pointers only: the file is included by sources compiled for
/// AVX2 and AVX-512, which must not instantiate anything that other sources share (see bf16.h).
#pragma once

#include <cstdint>

namespace limbeck {

constexpr int64_t kSliceHeadsMax = 16;  ///< larger groups are cut by the caller
constexpr int64_t kSliceBlock = 64;     ///< slots whose scores are held at a time
constexpr int64_t kHeadDimStep = 32;    ///< rows of queries and sums are padded to this many floats

struct AttentionSlice {
  const void* keys;  ///< first row of the slice, [slots, head_dim]
  const void* values;
  const float* bias;  ///< of the slice's slots, or null
  int64_t slots;      ///< >= 1
  int64_t head_dim;
  int64_t stride;      ///< floats between rows of query and sum: head_dim padded
  int64_t heads;       ///< 1 to kSliceHeadsMax
  const float* query;  ///< [heads, stride], times the softmax scale, zero behind head_dim
  float softcap;       ///< 0 = none
  float* sum;          ///< out [heads, stride]: sum of exp(logit - top) * value
  float* top;          ///< out [heads]: largest logit, -inf when all are
  float* mass;         ///< out [heads]: sum of exp(logit - top)
};

using SliceKernel = void (*)(const AttentionSlice&);

struct SliceKernels {
  SliceKernel bf16, f32;
};
extern const SliceKernels kSlicePortable;
extern const SliceKernels kSliceAvx2;    ///< null pointers on other processor families
extern const SliceKernels kSliceAvx512;  ///< null pointers on other processor families
extern const SliceKernel kSliceAmxBf16;  ///< null where the build has no AMX

}  // namespace limbeck
