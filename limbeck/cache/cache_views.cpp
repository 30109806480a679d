#include "limbeck/cache/kv_cache.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cstring>

namespace limbeck {
namespace {

/// The part of a tail that lies in `range`, as a packed segment (copied).
LayerSegmentPtr tail_part(const CacheShape& shape, const LayerCache& layer, PositionRange range) {
  const LayerTail& tail = layer.tail;
  const int64_t first = std::max(range.begin, tail.first_position) - tail.first_position;
  const int64_t last = std::min(range.end - tail.first_position, tail.length);
  auto out = std::make_shared<LayerSegment>(segment_empty(shape));
  if (tail.length == 0 || first >= last) return out;
  const int64_t n = last - first,
                h = shape.kv_heads - static_cast<int64_t>(layer.stream.heads.size());
  if (h == 0) return out;
  // Not reshape(): with one head it would be a view of rows that the tail may overwrite.
  const auto pack = [&](const at::Tensor& t) {
    return t.narrow(1, first, n).clone(at::MemoryFormat::Contiguous).view({h * n, shape.head_dim});
  };
  out->keys = pack(tail.keys);
  out->values = pack(tail.values);
  out->positions = at::arange(tail.first_position + first, tail.first_position + last,
                              at::TensorOptions().dtype(at::kInt))
                       .repeat({h});
  for (int64_t i = 0; i < shape.kv_heads; ++i)
    out->offsets[i + 1] = out->offsets[i] + (stream_has(layer.stream, i) ? 0 : n);
  return out;
}

/// The slots of a segment with position in `range`; the segment itself when that is all of them.
LayerSegmentPtr segment_part(const LayerSegmentPtr& segment, PositionRange range) {
  const int64_t n = segment->slots();
  const int32_t* positions = segment->positions.const_data_ptr<int32_t>();
  std::vector<int64_t> rows, offsets{0};
  for (int64_t h = 0; h < segment->kv_heads(); ++h) {
    for (int64_t i = segment->offsets[h]; i < segment->offsets[h + 1]; ++i)
      if (range.contains(positions[i])) rows.push_back(i);
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
  if (static_cast<int64_t>(rows.size()) == n) return segment;
  const auto index = at::tensor(rows, at::TensorOptions().dtype(at::kLong));
  return std::make_shared<LayerSegment>(segment_gather(*segment, index, std::move(offsets)));
}

/// Bits, not values: 0 differs from -0, and a NaN equals itself.
bool tensors_equal(const at::Tensor& a, const at::Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  const at::Tensor x = a.cpu().contiguous(), y = b.cpu().contiguous();
  return x.numel() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

bool streams_equal(const LayerStream& a, const LayerStream& b) {
  if (a.heads != b.heads || a.sinks != b.sinks || a.window != b.window || a.mask != b.mask ||
      a.length != b.length || a.next != b.next)
    return false;
  return a.length == 0 ||
         (tensors_equal(a.keys.narrow(1, 0, a.length), b.keys.narrow(1, 0, b.length)) &&
          tensors_equal(a.values.narrow(1, 0, a.length), b.values.narrow(1, 0, b.length)));
}

bool segments_equal(const LayerSegment& a, const LayerSegment& b) {
  if (a.offsets != b.offsets || a.extras.size() != b.extras.size()) return false;
  for (const auto& [name, x] : a.extras)
    if (auto it = b.extras.find(name); it == b.extras.end() || !tensors_equal(x, it->second))
      return false;
  return tensors_equal(a.keys, b.keys) && tensors_equal(a.values, b.values) &&
         tensors_equal(a.bias, b.bias) && tensors_equal(a.positions, b.positions);
}

bool tails_equal(const LayerKind& kind, const LayerTail& a, const LayerTail& b) {
  if (a.length != b.length) return false;
  if (a.length == 0) return true;
  if (a.first_position != b.first_position) return false;
  if (kind.type == LayerKind::Type::ring) {
    const auto [ka, va] = ring_linear(a);
    const auto [kb, vb] = ring_linear(b);
    return tensors_equal(ka, kb) && tensors_equal(va, vb);
  }
  return tensors_equal(a.keys.narrow(1, 0, a.length), b.keys.narrow(1, 0, b.length)) &&
         tensors_equal(a.values.narrow(1, 0, a.length), b.values.narrow(1, 0, b.length));
}

}  // namespace

LayerSegment cache_gather(const KvCache& cache, int64_t layer, PositionRange range) {
  const LayerCache& l = cache.layer(layer);
  LIMBECK_CHECK(l.kind.type == LayerKind::Type::full, "layer {} is a ring", layer);
  std::vector<LayerSegmentPtr> parts;
  for (size_t j = 0; j < l.segments.size(); ++j) {
    const SegmentInfo& info = cache.segments()[j];
    if (info.begin < range.end && info.end > range.begin)
      parts.push_back(segment_part(l.segments[j], range));
  }
  parts.push_back(tail_part(cache.shape(), l, range));
  std::erase_if(parts, [](const LayerSegmentPtr& p) { return p->slots() == 0; });
  if (parts.empty()) return segment_empty(cache.shape());
  return segment_concat(parts);
}

std::pair<at::Tensor, at::Tensor> ring_linear(const LayerTail& ring) {
  if (!ring.keys.defined()) return {};
  const int64_t capacity = ring.capacity();
  const int64_t start = ring.first_position % capacity;
  const int64_t head = std::min(ring.length, capacity - start);
  if (head == ring.length)
    return {ring.keys.narrow(1, start, head), ring.values.narrow(1, start, head)};
  const auto join = [&](const at::Tensor& t) {
    return at::cat({t.narrow(1, start, head), t.narrow(1, 0, ring.length - head)}, 1);
  };
  return {join(ring.keys), join(ring.values)};
}

bool cache_equal(const KvCache& a, const KvCache& b) {
  if (!(a.shape() == b.shape()) || a.logical_length() != b.logical_length() ||
      a.tail_begin() != b.tail_begin() || a.tokens() != b.tokens() ||
      a.segments() != b.segments() || a.protected_ranges() != b.protected_ranges())
    return false;
  for (int64_t l = 0; l < a.shape().layer_count(); ++l) {
    const LayerCache &x = a.layer(l), &y = b.layer(l);
    if (!tails_equal(x.kind, x.tail, y.tail) || !streams_equal(x.stream, y.stream)) return false;
    for (size_t j = 0; j < x.segments.size(); ++j)
      if (!segments_equal(*x.segments[j], *y.segments[j])) return false;
  }
  return true;
}

}  // namespace limbeck
