/// One layer's part of a segment: ragged heads, packed without padding, immutable once shared.
#pragma once

#include "limbeck/cache/layout.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace limbeck {

/// n = total slots of all KV heads; head h owns rows [offsets[h], offsets[h + 1]).
/// A slot's logit is scale * (q . key) + bias; eviction leaves bias 0 (arXiv 2602.16284 fits it).
struct LayerSegment {
  at::Tensor keys;                           ///< [n, D] of the cache's dtype, after norm and RoPE
  at::Tensor values;                         ///< [n, D]
  at::Tensor bias;                           ///< [n] f32, or undefined: all zero
  at::Tensor positions;                      ///< [n] i32 logical positions
  std::vector<int64_t> offsets;              ///< [H + 1], offsets[0] = 0, never falling
  std::map<std::string, at::Tensor> extras;  ///< [n] f32 side values by name

  int64_t kv_heads() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t slots() const { return offsets.back(); }
  int64_t slots(int64_t head) const { return offsets[head + 1] - offsets[head]; }
  /// True when all heads hold equally many slots: the tensors may then be viewed as [H, t, D].
  bool uniform() const;
};
using LayerSegmentPtr = std::shared_ptr<const LayerSegment>;

/// Throws InternalError when shapes, dtypes or offsets contradict each other or `shape`.
void segment_check(const LayerSegment& segment, const CacheShape& shape);

/// True when every head holds positions span.begin, span.begin + 1, ... up to span.end and there is
/// neither bias nor side value: what a tail can take over. Streaming heads (ascending) hold
/// nothing.
bool segment_is_plain(const LayerSegment& segment, PositionRange span,
                      const std::vector<int64_t>& streaming = {});

/// Rows `index` (i64, in packed row numbers, grouped by head as in `offsets`) of a segment,
/// bit-exact.
LayerSegment segment_gather(const LayerSegment& segment, const at::Tensor& index,
                            std::vector<int64_t> offsets);

/// The segments' slots head by head, one after another. A part without bias counts as bias 0, one
/// without a side value that another part has as 0 there.
LayerSegment segment_concat(const std::vector<LayerSegmentPtr>& parts);

/// A segment without slots for `kv_heads` heads.
LayerSegment segment_empty(const CacheShape& shape);

at::ScalarType to_scalar_type(DType type);
DType to_dtype(at::ScalarType type);

}  // namespace limbeck
