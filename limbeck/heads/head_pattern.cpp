#include "limbeck/heads/head_pattern.h"

#include "limbeck/base/error.h"

#include <algorithm>

namespace limbeck {

std::string_view chunk_mask_name(ChunkMask mask) {
  return mask == ChunkMask::full ? "full" : "window";
}

ChunkMask chunk_mask_from_name(std::string_view name) {
  for (const ChunkMask mask : {ChunkMask::full, ChunkMask::window})
    if (chunk_mask_name(mask) == name) return mask;
  throw InvalidArgument("[heads] the chunk mask must be full or window; found \"{}\"", name);
}

double HeadPattern::sparsity() const {
  if (streaming.empty()) return 0.0;
  const auto count = std::count(streaming.begin(), streaming.end(), uint8_t{1});
  return static_cast<double>(count) / static_cast<double>(streaming.size());
}

void head_pattern_check(const HeadPattern& p) {
  if (p.layers < 1 || p.kv_heads < 1 ||
      static_cast<int64_t>(p.streaming.size()) != p.layers * p.kv_heads)
    throw InvalidArgument("[heads] a pattern of {} layers of {} KV heads needs {} flags; found {}",
                          p.layers, p.kv_heads, p.layers * p.kv_heads, p.streaming.size());
  if (p.sinks < 0 || p.window < 1)
    throw InvalidArgument(
        "[heads] streaming heads need at least 0 sinks and a window of at least 1; found {} and {}",
        p.sinks, p.window);
}

}  // namespace limbeck
