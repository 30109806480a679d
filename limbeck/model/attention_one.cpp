#include "limbeck/model/attention.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/attention.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

/// Row ranges of all parts of a layer in the form that the kernel reads. Reused between calls of a
/// thread so that decoding does not allocate.
struct PartList {
  std::vector<KvPart> parts;
  std::vector<int64_t> ranges;  ///< begin [H] then length [H] of each part
  std::vector<size_t> starts;

  void clear() {
    parts.clear();
    ranges.clear();
    starts.clear();
  }
  void add(const void* keys, const void* values, const float* bias) {
    parts.push_back({keys, values, bias, nullptr, nullptr});
    starts.push_back(ranges.size());
  }
  /// Every head's rows start `stride` apart at `first` and count `rows`.
  void add_dense(const at::Tensor& keys, const at::Tensor& values, int64_t first, int64_t rows) {
    if (rows <= 0) return;
    const int64_t heads = keys.size(0), stride = keys.stride(0) / keys.size(2);
    LIMBECK_CHECK(keys.stride(1) == keys.size(2) && values.strides() == keys.strides(),
                  "rows must be packed");
    add(keys.const_data_ptr(), values.const_data_ptr(), nullptr);
    for (int64_t h = 0; h < heads; ++h) ranges.push_back(h * stride + first);
    for (int64_t h = 0; h < heads; ++h) ranges.push_back(rows);
  }
  void add_segment(const LayerSegment& s) {
    if (s.slots() == 0) return;
    add(s.keys.const_data_ptr(), s.values.const_data_ptr(),
        s.bias.defined() ? s.bias.const_data_ptr<float>() : nullptr);
    for (int64_t h = 0; h < s.kv_heads(); ++h) ranges.push_back(s.offsets[h]);
    for (int64_t h = 0; h < s.kv_heads(); ++h) ranges.push_back(s.slots(h));
  }
  void finish(int64_t heads) {
    for (size_t i = 0; i < parts.size(); ++i) {
      parts[i].begin = ranges.data() + starts[i];
      parts[i].length = parts[i].begin + heads;
    }
  }
};

void collect(const AttentionInput& in, PartList& list) {
  const LayerCache& cache = *in.cache;
  const LayerTail& tail = cache.tail;
  for (const auto& segment : cache.segments) list.add_segment(*segment);
  if (cache.kind.type == LayerKind::Type::ring && tail.length > 0) {
    const int64_t start = tail.first_position % tail.capacity();
    const int64_t first = std::min(tail.length, tail.capacity() - start);
    list.add_dense(tail.keys, tail.values, start, first);
    list.add_dense(tail.keys, tail.values, 0, tail.length - first);
  }
  const bool in_tail =
      cache.kind.type == LayerKind::Type::full && tail.keys.defined() &&
      in.keys.const_data_ptr() == static_cast<const char*>(tail.keys.const_data_ptr()) +
                                      tail.length * tail.keys.stride(1) * tail.keys.element_size();
  if (in_tail) {
    list.add_dense(tail.keys, tail.values, 0, tail.length + 1);  // the new row lies directly behind
    return;
  }
  if (cache.kind.type == LayerKind::Type::full)
    list.add_dense(tail.keys, tail.values, 0, tail.length);
  list.add_dense(in.keys, in.values, 0, 1);
}

}  // namespace

void attention_one(const AttentionInput& in, const at::Tensor& out, at::Tensor* lse) {
  thread_local PartList list;
  list.clear();
  collect(in, list);
  const int64_t heads = in.keys.size(0);
  list.finish(heads);
  DecodeAttention a;
  a.dtype = in.keys.scalar_type() == at::kFloat ? DType::f32 : DType::bf16;
  a.query_heads = in.queries.numel() / in.keys.size(2);
  a.kv_heads = heads;
  a.head_dim = in.keys.size(2);
  a.scale = static_cast<float>(in.scale);
  a.query = in.queries.const_data_ptr<float>();
  a.parts = list.parts;
  a.output = out.mutable_data_ptr<float>();
  if (lse != nullptr) {
    *lse = at::empty({a.query_heads, 1}, at::kFloat);
    a.lse = lse->mutable_data_ptr<float>();
  }
  attention_decode(a);
}

}  // namespace limbeck
