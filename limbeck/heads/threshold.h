/// From gates to a pattern: which heads keep everything at a wanted sparsity.
///
/// Deterministic: the highest gates stay full, ties go by a hash of
/// the head, because files of 16-bit gates hold long runs of equal values and an order by index
/// would favour early layers.
#pragma once

#include "limbeck/heads/head_pattern.h"
#include "limbeck/heads/head_table.h"

#include <optional>
#include <string>

namespace limbeck {

struct PatternOptions {
  std::optional<double> sparsity;  ///< fraction of heads to stream; binary patterns need none
  bool ties_by_index = false;
  std::optional<int64_t> sinks, window;  ///< entries; default: the table's, else 128 and 1024
  std::optional<ChunkMask> mask;         ///< default: the table's, else full
};

/// Heads that stay full: floor(heads (1 - sparsity) + 1e-9), all at 0 and below, none at 1 and
/// above.
int64_t full_heads(int64_t heads, double sparsity);

/// Throws InvalidArgument for a table that holds no gates, for gates without a sparsity, and for a
/// sparsity outside [0, 1].
HeadPattern pattern_from_gates(const HeadTable& gates, const PatternOptions& options = {});

}  // namespace limbeck
