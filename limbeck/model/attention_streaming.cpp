#include "limbeck/model/attention_streaming.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

#include <limits>

namespace limbeck {
namespace {

/// Rows of a segment are packed by head, so leaving out heads without rows changes only offsets.
LayerSegmentPtr without_heads(const LayerSegment& s, const std::vector<int64_t>& others) {
  auto out = std::make_shared<LayerSegment>();
  out->keys = s.keys;
  out->values = s.values;
  out->bias = s.bias;
  out->positions = s.positions;
  out->offsets = {0};
  for (const int64_t h : others) out->offsets.push_back(out->offsets.back() + s.slots(h));
  LIMBECK_CHECK(out->slots() == s.slots(), "streaming heads hold {} slots in a segment",
                s.slots() - out->slots());
  return out;
}

/// What the heads that do not stream hold.
LayerCache others_alone(const LayerCache& layer) {
  LayerCache out;
  out.kind = layer.kind;
  for (const LayerSegmentPtr& s : layer.segments)
    if (s->slots() > 0) out.segments.push_back(without_heads(*s, layer.stream.others));
  out.tail = layer.tail;
  return out;
}

/// What the streaming heads hold, as a tail: order is irrelevant, keys carry their phase.
LayerCache stream_alone(const LayerCache& layer) {
  LayerCache out;
  out.kind = layer.kind;
  out.tail.keys = layer.stream.keys;
  out.tail.values = layer.stream.values;
  out.tail.length = layer.stream.length;
  return out;
}

}  // namespace

at::Tensor stream_window_mask(const LayerStream& stream, int64_t position, int64_t rows) {
  std::vector<int64_t> columns = stream_positions(stream, position);
  for (int64_t i = 0; i < rows; ++i) columns.push_back(position + i);
  const auto keys = static_cast<int64_t>(columns.size());
  at::Tensor mask = at::empty({rows, keys}, at::kFloat);
  float* m = mask.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < keys; ++j) {
      const int64_t age = position + i - columns[j];
      const bool seen = age >= 0 && (columns[j] < stream.sinks || age <= stream.window);
      m[i * keys + j] = seen ? 0.0F : -std::numeric_limits<float>::infinity();
    }
  return mask;
}

void attention_by_groups(const AttentionInput& in, int64_t position, const at::Tensor& out,
                         at::Tensor* lse, const GroupAttentionFn& attend) {
  const LayerStream& stream = in.cache->stream;
  const int64_t heads = in.keys.size(0), rows = in.queries.size(1), dim = in.queries.size(2);
  const int64_t query_heads = in.queries.size(0), group = query_heads / heads;
  if (lse != nullptr) *lse = at::empty({query_heads, rows}, at::kFloat);
  const at::Tensor columns = out.view({rows, heads, group * dim});
  const auto run = [&](const LayerCache& cache, const std::vector<int64_t>& members,
                       bool windowed) {
    if (members.empty()) return;
    const auto count = static_cast<int64_t>(members.size());
    const at::Tensor index = at::tensor(members, at::TensorOptions().dtype(at::kLong));
    AttentionInput part;
    part.cache = &cache;
    part.queries = in.queries.view({heads, group, rows, dim})
                       .index_select(0, index)
                       .view({count * group, rows, dim});
    part.keys = in.keys.index_select(0, index);
    part.values = in.values.index_select(0, index);
    part.scale = in.scale;
    if (windowed) part.mask = stream_window_mask(stream, position, rows);
    const at::Tensor part_out = at::empty({rows, count * group * dim}, out.options());
    at::Tensor part_lse;
    attend(part, part_out, lse != nullptr ? &part_lse : nullptr);
    at::Tensor target = columns;
    target.index_copy_(1, index, part_out.view({rows, count, group * dim}));
    if (lse != nullptr)
      lse->view({heads, group, rows}).index_copy_(0, index, part_lse.view({count, group, rows}));
  };
  run(others_alone(*in.cache), stream.others, false);
  // One row sees the same under both masks, and then decoding needs no mask.
  run(stream_alone(*in.cache), stream.heads, stream.mask == ChunkMask::window && rows > 1);
}

}  // namespace limbeck
