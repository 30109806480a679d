#include "limbeck/compact/allocate/allocator.h"

#include <algorithm>

namespace limbeck {
namespace {

/// Keeps exactly the best slots of the whole model, not "all above a threshold", which would lose
/// ties.
class ModelAllocator : public Allocator {
 public:
  Comparable requires_comparable() const override { return Comparable::model; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    struct Slot {
      float score;
      int32_t position, head, slot;
    };
    Selection out(heads.size());
    std::vector<Slot> open;
    int64_t budget = 0, forced = 0;
    for (size_t h = 0; h < heads.size(); ++h) {
      budget += std::min(heads[h].budget, heads[h].size());
      forced += heads[h].forced_count();
      for (int64_t i = 0; i < heads[h].size(); ++i) {
        if (heads[h].forced[i] != 0)
          out[h].push_back(static_cast<int32_t>(i));
        else if (heads[h].scores[i] != kNoCandidate)
          open.push_back({heads[h].scores[i], heads[h].positions[i], static_cast<int32_t>(h),
                          static_cast<int32_t>(i)});
      }
    }
    const int64_t room = std::clamp<int64_t>(share_of_budget(budget, share) - forced, 0,
                                             static_cast<int64_t>(open.size()));
    // Ties: later position, then lower head of the layer, then lower layer.
    const auto better = [&](const Slot& a, const Slot& b) {
      if (a.score != b.score) return a.score > b.score;
      if (a.position != b.position) return a.position > b.position;
      if (heads[a.head].head != heads[b.head].head) return heads[a.head].head < heads[b.head].head;
      if (a.head != b.head) return a.head < b.head;
      return a.slot < b.slot;
    };
    if (room < static_cast<int64_t>(open.size()))
      std::nth_element(open.begin(), open.begin() + room, open.end(), better);
    for (int64_t i = 0; i < room; ++i) out[open[i].head].push_back(open[i].slot);
    for (auto& slots : out) std::sort(slots.begin(), slots.end());
    return out;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_model_allocator() { return std::make_unique<ModelAllocator>(); }

}  // namespace limbeck
