#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

struct AdakvOptions {
  double safe = 0.2;
  template <class V>
  void for_each_field(V&& v) {
    v("safe", safe, closed(0.0, 1.0), "part of a head's open budget that no other head can take");
  }
};

/// Each layer hands out its own budget: every head keeps its best slots up to a safe share, the
/// rest goes to the best slots of the layer (arXiv 2407.11550). Without a safe share this is the
/// top of the layer.
class LayerAllocator : public Allocator {
 public:
  explicit LayerAllocator(double safe) : safe_(safe) {}
  Comparable requires_comparable() const override { return Comparable::layer; }
  bool layer_by_layer() const override { return true; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    for (const auto& [begin, end] : layer_ranges(heads)) {
      const std::span<HeadContest> layer(taken.data() + begin, end - begin);
      for (HeadContest& head : layer) {
        const auto safe = static_cast<int64_t>(
            std::floor(safe_ * static_cast<double>(open_budget(head, share)) + 1e-9));
        // Where protected slots fill more than a head's share, less than its safe part is left.
        take_best({&head, 1}, std::min(safe, open_budget(layer, share)));
      }
      take_best(layer, open_budget(layer, share));
    }
    return taken_slots(taken);
  }

 private:
  double safe_;
};

}  // namespace

std::unique_ptr<Allocator> make_adakv_allocator(const AllocatorOptions& options) {
  return std::make_unique<LayerAllocator>(options_from_texts<AdakvOptions>("adakv", options).safe);
}
std::unique_ptr<Allocator> make_layer_allocator(const AllocatorOptions& options) {
  options_from_texts<NoAllocatorOptions>("layer", options);
  return std::make_unique<LayerAllocator>(0.0);
}
std::vector<FieldInfo> describe_adakv_allocator() { return options_describe<AdakvOptions>(); }

}  // namespace limbeck
