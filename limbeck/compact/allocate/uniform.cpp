#include "limbeck/compact/allocate/ranked.h"

namespace limbeck {
namespace {

/// Every head keeps its own budget: equal ones, or shares of a table.
class OwnBudgetAllocator : public Allocator {
 public:
  explicit OwnBudgetAllocator(bool table) : table_(table) {}
  Comparable requires_comparable() const override { return Comparable::none; }
  TableUse table() const override { return table_ ? TableUse::budgets : TableUse::none; }
  bool layer_by_layer() const override { return !table_; }
  bool takes_best() const override { return true; }
  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    Selection out;
    for (const HeadContest& h : heads)
      out.push_back(top_slots(h, share_of_budget(h.budget, share)));
    return out;
  }

 private:
  bool table_;
};

}  // namespace

std::unique_ptr<Allocator> make_uniform_allocator(const AllocatorOptions& options) {
  options_from_texts<NoAllocatorOptions>("uniform", options);
  return std::make_unique<OwnBudgetAllocator>(false);
}
std::unique_ptr<Allocator> make_table_allocator(const AllocatorOptions& options) {
  options_from_texts<NoAllocatorOptions>("table", options);
  return std::make_unique<OwnBudgetAllocator>(true);
}
std::vector<FieldInfo> describe_plain_allocator() { return options_describe<NoAllocatorOptions>(); }

}  // namespace limbeck
