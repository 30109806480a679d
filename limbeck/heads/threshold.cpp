#include "limbeck/heads/threshold.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {

int64_t full_heads(int64_t heads, double sparsity) {
  if (sparsity <= 0) return heads;
  if (sparsity >= 1) return 0;
  // The 1e-9 repairs products such as 10 * (1 - 0.9) = 0.99999....
  return static_cast<int64_t>(std::floor(static_cast<double>(heads) * (1.0 - sparsity) + 1e-9));
}

HeadPattern pattern_from_gates(const HeadTable& gates, const PatternOptions& o) {
  if (gates.kind != "gates" && gates.kind != "binary")
    throw InvalidArgument("[heads] a pattern is made of gates or binary values; found {}",
                          gates.kind.empty() ? "nothing" : gates.kind);
  if (!o.sparsity && gates.kind == "gates")
    throw InvalidArgument(
        "[heads] gates need a sparsity, the fraction of heads that stream; found none");
  if (o.sparsity && !(*o.sparsity >= 0.0 && *o.sparsity <= 1.0))
    throw InvalidArgument("[heads] the sparsity must be in [0, 1]; found {}", *o.sparsity);
  HeadPattern p;
  p.layers = gates.layers;
  p.kv_heads = gates.kv_heads;
  p.method = gates.method;
  p.sinks = o.sinks.value_or(gates.sinks >= 0 ? gates.sinks : p.sinks);
  p.window = o.window.value_or(gates.window >= 1 ? gates.window : p.window);
  p.mask = o.mask.value_or(gates.chunk_mask.empty() ? ChunkMask::full
                                                    : chunk_mask_from_name(gates.chunk_mask));
  const auto heads = static_cast<int64_t>(gates.values.size());
  p.streaming.assign(gates.values.size(), 1);
  if (!o.sparsity) {
    for (int64_t i = 0; i < heads; ++i) p.streaming[i] = gates.values[i] == 0 ? 1 : 0;
  } else {
    std::vector<int64_t> order(gates.values.size());
    std::iota(order.begin(), order.end(), 0);
    const auto rank = [&](int64_t i) {
      const auto index = static_cast<uint64_t>(i);
      return o.ties_by_index ? index : splitmix64_at(index, 0);
    };
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return gates.values[a] != gates.values[b] ? gates.values[a] > gates.values[b]
                                                : rank(a) < rank(b);
    });
    const int64_t full = full_heads(heads, *o.sparsity);
    for (int64_t i = 0; i < full; ++i) p.streaming[order[i]] = 0;
  }
  head_pattern_check(p);
  return p;
}

}  // namespace limbeck
