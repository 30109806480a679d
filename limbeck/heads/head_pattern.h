/// Which KV heads keep everything and which keep only the first and newest entries. No tensors.
///
/// Streaming heads: StreamingLLM's sinks and window (arXiv 2309.17453) on the heads that gates name
/// (DuoAttention 2410.10819, PruLong 2506.17121). The query heads of a KV head share its fate.
/// threshold.h makes a pattern of gates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// What a row of a chunk sees in a streaming head (arXiv 2506.17121). One row at a time
/// (decoding) both mean the same.
enum class ChunkMask : uint8_t {
  full,    ///< all entries that are held, and the chunk's own rows before it
  window,  ///< sinks and the last `window` positions: the same for every chunk size
};
std::string_view chunk_mask_name(ChunkMask mask);
/// Throws InvalidArgument for any other name.
ChunkMask chunk_mask_from_name(std::string_view name);

struct HeadPattern {
  int64_t layers = 0, kv_heads = 0;
  int64_t sinks = 128, window = 1024;  ///< entries
  ChunkMask mask = ChunkMask::full;
  std::string method;              ///< where the gates came from; for reports
  std::vector<uint8_t> streaming;  ///< [layers * kv_heads] 1 = streaming

  bool at(int64_t layer, int64_t head) const {
    return streaming[static_cast<size_t>(layer * kv_heads + head)] != 0;
  }
  /// Fraction of the heads that stream.
  double sparsity() const;
  bool operator==(const HeadPattern&) const = default;
};

/// Throws InvalidArgument naming the field: no heads, a list of another length, negative sinks, a
/// window below 1.
void head_pattern_check(const HeadPattern& pattern);

}  // namespace limbeck
