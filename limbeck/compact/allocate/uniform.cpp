#include "limbeck/compact/allocate/allocator.h"

namespace limbeck {
namespace {

class UniformAllocator : public Allocator {
 public:
  Comparable requires_comparable() const override { return Comparable::none; }
  Selection allocate(std::span<const HeadContest> heads) const override {
    Selection out;
    for (const HeadContest& h : heads) out.push_back(top_slots(h, h.budget));
    return out;
  }
};

}  // namespace

std::unique_ptr<Allocator> make_uniform_allocator() { return std::make_unique<UniformAllocator>(); }

}  // namespace limbeck
