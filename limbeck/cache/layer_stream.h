/// The streaming heads of one layer: a fixed allocation of sinks and a ring of the newest entries.
///
/// What they no longer hold is freed by being overwritten: the bytes are the same from the first
/// forward call on. The order in the ring does not matter to attention, because keys carry their
/// rotary phase; masks go by positions.
#pragma once

#include "limbeck/heads/head_pattern.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace limbeck {

/// Rows [0, sinks) are the first positions of the sequence, rows [sinks, sinks + window) the ring.
struct LayerStream {
  std::vector<int64_t> heads;   ///< KV heads that stream, ascending; empty = none does
  std::vector<int64_t> others;  ///< the layer's other KV heads, ascending
  int64_t sinks = 0, window = 0;
  ChunkMask mask = ChunkMask::full;
  at::Tensor keys, values;  ///< [heads, sinks + window, D]; undefined before the first token
  int64_t length = 0;       ///< rows in use: [0, length)
  int64_t next = 0;         ///< ring row that the next token takes

  bool active() const { return !heads.empty(); }
};

/// Whether KV head `head` of the layer streams.
inline bool stream_has(const LayerStream& stream, int64_t head) {
  return std::binary_search(stream.heads.begin(), stream.heads.end(), head);
}

/// Takes the streaming heads' part of new rows, keys and values [H, n, D] of all KV heads.
void stream_append(LayerStream& stream, const at::Tensor& keys, const at::Tensor& values);

/// Position of every row in use, when the next token's position is `end`: [length].
std::vector<int64_t> stream_positions(const LayerStream& stream, int64_t end);

/// Forgets the newest `rows`. Only for a stream that has not overwritten anything yet.
void stream_truncate(LayerStream& stream, int64_t rows);

/// A copy with tensors of its own.
LayerStream stream_copy(const LayerStream& stream);

}  // namespace limbeck
