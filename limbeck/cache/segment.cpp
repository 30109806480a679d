#include "limbeck/cache/segment.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/vector_math.h"

#include <algorithm>

namespace limbeck {
namespace {

[[maybe_unused]] const bool settled = settle_vector_math();

}  // namespace

at::ScalarType to_scalar_type(DType type) {
  switch (type) {
    case DType::f64: return at::kDouble;
    case DType::f32: return at::kFloat;
    case DType::f16: return at::kHalf;
    case DType::bf16: return at::kBFloat16;
    case DType::i64: return at::kLong;
    case DType::i32: return at::kInt;
    case DType::i16: return at::kShort;
    case DType::i8: return at::kChar;
    case DType::u8: return at::kByte;
    case DType::boolean: return at::kBool;
  }
  throw InternalError("[dtype] unknown type {}", static_cast<int>(type));
}

DType to_dtype(at::ScalarType type) {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
    if (to_scalar_type(static_cast<DType>(i)) == type) return static_cast<DType>(i);
  throw InvalidArgument("[dtype] no stored type for torch type {}", at::toString(type));
}

bool LayerSegment::uniform() const {
  for (int64_t h = 1; h < kv_heads(); ++h)
    if (slots(h) != slots(0)) return false;
  return true;
}

void segment_check(const LayerSegment& s, const CacheShape& shape) {
  LIMBECK_CHECK(s.kv_heads() == shape.kv_heads && s.offsets.front() == 0, "{} offsets for {} heads",
                s.offsets.size(), shape.kv_heads);
  LIMBECK_CHECK(std::is_sorted(s.offsets.begin(), s.offsets.end()), "offsets must not fall");
  const int64_t n = s.slots();
  const auto type = to_scalar_type(shape.dtype);
  for (const at::Tensor& t : {s.keys, s.values})
    LIMBECK_CHECK(t.dim() == 2 && t.size(0) == n && t.size(1) == shape.head_dim &&
                      t.is_contiguous() && t.scalar_type() == type,
                  "keys and values must be contiguous [{}, {}] of the cache's dtype", n,
                  shape.head_dim);
  LIMBECK_CHECK(s.positions.dim() == 1 && s.positions.size(0) == n && s.positions.is_contiguous() &&
                    s.positions.scalar_type() == at::kInt,
                "positions must be [{}] i32", n);
  if (s.bias.defined())
    LIMBECK_CHECK(s.bias.dim() == 1 && s.bias.size(0) == n && s.bias.is_contiguous() &&
                      s.bias.scalar_type() == at::kFloat,
                  "bias must be [{}] f32", n);
  for (const auto& [name, x] : s.extras)
    LIMBECK_CHECK(x.dim() == 1 && x.size(0) == n && x.scalar_type() == at::kFloat,
                  "side value {} must be [{}] f32", name, n);
}

bool segment_is_plain(const LayerSegment& segment, PositionRange span,
                      const std::vector<int64_t>& streaming) {
  if (segment.bias.defined() || !segment.extras.empty()) return false;
  const auto* positions = segment.positions.const_data_ptr<int32_t>();
  for (int64_t h = 0; h < segment.kv_heads(); ++h) {
    if (std::binary_search(streaming.begin(), streaming.end(), h)) {
      if (segment.slots(h) > 0) return false;
      continue;
    }
    if (segment.slots(h) != span.size()) return false;
    for (int64_t i = 0; i < span.size(); ++i)
      if (positions[segment.offsets[h] + i] != span.begin + i) return false;
  }
  return true;
}

LayerSegment segment_gather(const LayerSegment& segment, const at::Tensor& index,
                            std::vector<int64_t> offsets) {
  LIMBECK_CHECK(index.size(0) == offsets.back(), "{} rows, offsets end at {}", index.size(0),
                offsets.back());
  LayerSegment out;
  out.keys = segment.keys.index_select(0, index);
  out.values = segment.values.index_select(0, index);
  if (segment.bias.defined()) out.bias = segment.bias.index_select(0, index);
  out.positions = segment.positions.index_select(0, index);
  out.offsets = std::move(offsets);
  for (const auto& [name, x] : segment.extras) out.extras[name] = x.index_select(0, index);
  return out;
}

namespace {

/// Concatenates one field of all parts in head-major order.
template <class Get>
at::Tensor concat_field(const std::vector<LayerSegmentPtr>& parts, Get&& get) {
  std::vector<at::Tensor> pieces;
  const int64_t heads = parts.front()->kv_heads();
  for (int64_t h = 0; h < heads; ++h)
    for (const auto& part : parts)
      if (part->slots(h) > 0)
        pieces.push_back(get(*part).narrow(0, part->offsets[h], part->slots(h)));
  return pieces.empty() ? get(*parts.front()).clone() : at::cat(pieces);
}

}  // namespace

LayerSegment segment_concat(const std::vector<LayerSegmentPtr>& parts) {
  LIMBECK_CHECK(!parts.empty(), "nothing to concatenate");
  if (parts.size() == 1) return *parts.front();
  LayerSegment out;
  out.keys = concat_field(parts, [](const LayerSegment& s) { return s.keys; });
  out.values = concat_field(parts, [](const LayerSegment& s) { return s.values; });
  out.positions = concat_field(parts, [](const LayerSegment& s) { return s.positions; });
  const bool biased =
      std::any_of(parts.begin(), parts.end(), [](auto& p) { return p->bias.defined(); });
  if (biased)
    out.bias = concat_field(parts, [](const LayerSegment& s) {
      return s.bias.defined() ? s.bias : at::zeros({s.slots()}, s.keys.options().dtype(at::kFloat));
    });
  for (const auto& part : parts)
    for (const auto& [name, unused] : part->extras)
      if (!out.extras.contains(name))
        out.extras[name] = concat_field(parts, [&](const LayerSegment& s) {
          const auto found = s.extras.find(name);
          return found != s.extras.end()
                     ? found->second
                     : at::zeros({s.slots()}, s.keys.options().dtype(at::kFloat));
        });
  out.offsets.assign(parts.front()->offsets.size(), 0);
  for (size_t h = 1; h < out.offsets.size(); ++h) {
    out.offsets[h] = out.offsets[h - 1];
    for (const auto& part : parts) out.offsets[h] += part->slots(static_cast<int64_t>(h) - 1);
  }
  return out;
}

LayerSegment segment_empty(const CacheShape& shape) {
  LayerSegment out;
  const auto options = at::TensorOptions().dtype(to_scalar_type(shape.dtype));
  out.keys = at::empty({0, shape.head_dim}, options);
  out.values = at::empty({0, shape.head_dim}, options);
  out.positions = at::empty({0}, at::TensorOptions().dtype(at::kInt));
  out.offsets.assign(shape.kv_heads + 1, 0);
  return out;
}

}  // namespace limbeck
