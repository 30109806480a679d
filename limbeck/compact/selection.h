/// Budgets and selections: the integer side of compaction. No tensors here.
#pragma once

#include "limbeck/cache/layout.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace limbeck {

/// Entries kept of n: min(n, max(1, floor(ratio * n + 1e-9))); the 1e-9 repairs products such as
/// 0.29 * 100 = 28.999. n = 0 gives 0. The ratio is the fraction KEPT.
int64_t kept_of_ratio(double ratio, int64_t n);

/// A slot with this score is never chosen: nothing would be gained by it.
inline constexpr float kNoCandidate = -std::numeric_limits<float>::infinity();

/// The part of a budget that stages up to a cumulative share hand out.
int64_t share_of_budget(int64_t budget, double share);

/// `floor` slots for each, the rest in proportion to `shares`, at most caps[i], by largest
/// remainder. What a cap cuts off goes to heads with room, in proportion to their shares. The sum
/// is `total`, or that of the caps when all are reached; floors shrink evenly when they exceed
/// `total`.
std::vector<int64_t> share_budgets(int64_t total, std::span<const double> shares, int64_t floor,
                                   std::span<const int64_t> caps);

/// The widest set of heads over which raw scores may be ranked together.
enum class Comparable : uint8_t {
  none,   ///< within one head
  layer,  ///< within one layer
  model,  ///< everywhere
};
std::string_view comparable_name(Comparable c);

/// One (layer, KV head) in a contest. Slot numbers are 0 .. size - 1 in the order of storage.
struct HeadContest {
  int64_t layer = 0, head = 0;
  std::span<const float> scores;       ///< [size]
  std::span<const int32_t> positions;  ///< [size] logical positions (ties: the later one wins)
  std::vector<uint8_t>
      forced;          ///< [size] 1 = always kept (protected, or chosen by an earlier stage)
  int64_t budget = 0;  ///< slots this head would keep by its own share, forced included
  double weight = 0;   ///< its number in the table of heads, where there is one
  /// [size] scores of the stage before, or empty: they rank what this stage has no score for, where
  /// a floor asks for more slots than have one.
  std::span<const float> earlier = {};
  int64_t size() const { return static_cast<int64_t>(scores.size()); }
  int64_t forced_count() const;
};

/// Ascending slot numbers kept by each head of a contest.
using Selection = std::vector<std::vector<int32_t>>;

/// Shares `total` in proportion to `weights` by largest remainder, ties to the lower index. Weights
/// must not be negative; all zero counts as all equal.
std::vector<int64_t> largest_remainder(int64_t total, std::span<const double> weights);

/// Cuts [begin, end) into pieces of about `chunk` positions; a last piece shorter than half a chunk
/// joins the one before it. chunk 0 gives one piece.
std::vector<PositionRange> cut_span(PositionRange span, int64_t chunk);

/// Keeps the forced slots and the best others up to `keep` slots in all: higher score, then later
/// position, then lower slot. Slots without candidacy are left out. NaN scores must have been
/// refused before.
std::vector<int32_t> top_slots(const HeadContest& contest, int64_t keep);

}  // namespace limbeck
