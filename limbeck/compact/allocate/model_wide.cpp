#include "limbeck/compact/allocate/ranked.h"

namespace limbeck {
namespace {

/// Keeps exactly the best slots of the whole model, not "all above a threshold", which would lose
/// ties.
class ModelAllocator : public Allocator {
 public:
  Comparable requires_comparable() const override { return Comparable::model; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    take_best(taken, open_budget(heads, share));
    return taken_slots(taken);
  }
};

}  // namespace

std::unique_ptr<Allocator> make_model_allocator(const AllocatorOptions& options) {
  options_from_texts<NoAllocatorOptions>("model", options);
  return std::make_unique<ModelAllocator>();
}

}  // namespace limbeck
