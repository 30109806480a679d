/// The JSON document inside a .kvc file, and what the container's reader and writer share about it.
/// Private to cache/; the format is described in docs/cache-format.md.
#pragma once

#include "limbeck/cache/container.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

inline constexpr std::string_view kContainerFormat = "kvc";
inline constexpr int64_t kContainerMajor = 1;
inline constexpr int64_t kContainerMinor = 1;  ///< 1.1: streaming heads
/// What a reader must know to read a file with streaming heads.
inline constexpr std::string_view kStreamingFeature = "streaming-heads";

struct SegmentRecord {
  SegmentInfo info;
  /// Slots by layer and KV head; the list of a ring layer is empty.
  std::vector<std::vector<int64_t>> lengths;
};

struct ContainerDocument {
  ContainerHeader header;
  CacheShape shape;
  int64_t logical_length = 0;  ///< also the number of tokens
  bool tail = false;           ///< the last segment is the tail
  std::vector<PositionRange> protected_ranges;
  std::optional<HeadPattern> heads;              ///< which heads stream
  std::vector<SegmentRecord> segments;           ///< in order, covering [0, logical_length)
  std::vector<std::string> blocks;               ///< block hashes, hex
  std::map<std::string, std::string> checksums;  ///< XXH3-64 of each tensor's bytes, hex, by name
};

/// Deterministic: keys sorted, numbers in their shortest exact form. Throws InvalidArgument for a
/// text that is not UTF-8.
std::string document_to_json(const ContainerDocument& document);

/// Strict inverse: features first, then every field with its type and range; unknown fields are
/// left to later minor versions. `file` names the file in errors. Throws FormatError naming the
/// field.
ContainerDocument document_from_json(std::string_view text, std::string_view file);

/// Names of tensors: seg.{j}.{i}.{field}, ring.{i}.{field}, stream.{i}.{field}.
std::string segment_tensor_name(int64_t segment, int64_t layer, std::string_view field);
std::string ring_tensor_name(int64_t layer, std::string_view field);
std::string stream_tensor_name(int64_t layer, std::string_view field);

}  // namespace limbeck
