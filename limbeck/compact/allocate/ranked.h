/// What the allocators share: slots of several heads in one ranking.
#pragma once

#include "limbeck/compact/allocate/allocator.h"

namespace limbeck {

/// Options of an allocator that has none.
struct NoAllocatorOptions {
  template <class V>
  void for_each_field(V&&) {}
};

/// Slots that a head may still keep under its own share of the budget: share of the budget less
/// forced slots, at least 0.
int64_t open_budget(const HeadContest& head, double share);
/// The same for several heads together: what one head's forced slots take beyond its share, the
/// others lose.
int64_t open_budget(std::span<const HeadContest> heads, double share);

/// First and one past the last head of each layer, in order of the contest.
std::vector<std::pair<size_t, size_t>> layer_ranges(std::span<const HeadContest> heads);

/// Raises the forced flags of the best `room` candidates of all heads together: higher score, then
/// later position, lower head, lower layer, lower slot.
void take_best(std::span<HeadContest> heads, int64_t room);

/// The forced slots of every head.
Selection taken_slots(std::span<const HeadContest> heads);

}  // namespace limbeck
