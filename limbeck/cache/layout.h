/// The shape of a cache and the integer side of its parts; no tensors here.
#pragma once

#include "limbeck/io/dtype.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// What a layer's attention may see, and so what its cache keeps.
struct LayerKind {
  enum class Type : uint8_t {
    full,  ///< every earlier token; may be compacted
    ring,  ///< the last `window` tokens, the new one included; never compacted
  };
  Type type = Type::full;
  int64_t window = 0;  ///< tokens, ring layers only
  bool operator==(const LayerKind&) const = default;
};
std::string_view layer_type_name(LayerKind::Type type);

/// What every tensor of a cache has in common.
struct CacheShape {
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  DType dtype = DType::bf16;  ///< of keys and values: bf16 or f32
  std::vector<LayerKind> layers;

  int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
  int64_t full_layer_count() const;
  /// Bytes of one stored slot (key and value of one head), bias and position apart.
  int64_t slot_bytes() const { return 2 * head_dim * dtype_size(dtype); }
  bool operator==(const CacheShape&) const = default;
};

/// How a span of the sequence is held. Append-only; the names go into files.
enum class SpanState : uint8_t {
  verbatim,   ///< every token's own keys and values
  compacted,  ///< fewer slots than tokens
  dropped,    ///< nothing (overflow policy `shift`)
};
std::string_view span_state_name(SpanState state);
/// Throws FormatError for any other name.
SpanState span_state_from_name(std::string_view name);

/// Where a segment came from. Shared by all layers.
struct SegmentInfo {
  int64_t begin = 0, end = 0;  ///< logical positions [begin, end) that it stands for
  SpanState state = SpanState::verbatim;
  std::string method;                          ///< preset name; empty for verbatim
  std::map<std::string, std::string> options;  ///< as given to the method, texts
  bool query_aware = false;
  double requested_ratio = 1.0;              ///< fraction of entries asked to be kept
  double achieved_ratio = 1.0;               ///< stored entries / entries of the span before
  std::map<std::string, double> statistics;  ///< seconds, bytes, residuals, by name
  int64_t generation = 0;                    ///< how often this span has been compacted
  /// Numbers that are both NaN are equal: a statistic may have no value.
  bool operator==(const SegmentInfo& other) const;
};

/// A half-open range of logical positions.
struct PositionRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool contains(int64_t p) const { return p >= begin && p < end; }
  bool operator==(const PositionRange&) const = default;
};

/// Slots of capacity for a tail that must hold `needed`: whole blocks, with 1/32 to spare so that a
/// growing tail is copied a bounded number of times and never wastes more than that or one block.
int64_t tail_capacity(int64_t needed, int64_t block);

/// Slots a tail grows by at least, on the CPU.
inline constexpr int64_t kTailBlock = 16;

}  // namespace limbeck
