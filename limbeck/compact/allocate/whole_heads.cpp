#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

/// Heads keep everything or only what is protected: those of the highest numbers in the table keep
/// everything, as many as the budget has room for (arXiv 2410.10819 and 2505.23416 choose heads
/// once a model). What no whole head fits into stays unused.
class HeadAllocator : public Allocator {
 public:
  Comparable requires_comparable() const override { return Comparable::none; }
  TableUse table() const override { return TableUse::order; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    std::vector<size_t> order(heads.size());
    std::iota(order.begin(), order.end(), 0);
    // Equal numbers: lower layer, then lower head.
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return heads[a].weight > heads[b].weight; });
    int64_t room = open_budget(heads, share);
    for (const size_t h : order) {
      const int64_t missing = taken[h].size() - taken[h].forced_count();
      if (missing > room) break;
      take_best({&taken[h], 1}, missing);
      room -= missing;
    }
    return taken_slots(taken);
  }
};

}  // namespace

std::unique_ptr<Allocator> make_head_allocator(const AllocatorOptions& options) {
  options_from_texts<NoAllocatorOptions>("head", options);
  return std::make_unique<HeadAllocator>();
}

}  // namespace limbeck
