#include "limbeck/compact/build/builder.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct CopyOptions {
  template <class V>
  void for_each_field(V&&) {}
};

class CopyBuilder : public Builder {
 public:
  LayerSegment build(const BuildInput& in, BuildStatistics&) const override {
    return copy_slots(in);
  }
};

}  // namespace

LayerSegment copy_slots(const BuildInput& in) {
  std::vector<int64_t> rows, offsets{0};
  for (size_t h = 0; h < in.kept.size(); ++h) {
    for (int32_t slot : in.kept[h]) rows.push_back(in.slots->offsets[h] + slot);
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
  return segment_gather(*in.slots, at::tensor(rows, at::TensorOptions().dtype(at::kLong)),
                        std::move(offsets));
}

std::unique_ptr<Builder> make_copy_builder(const std::map<std::string, std::string>& options) {
  options_from_texts<CopyOptions>("copy", options);
  return std::make_unique<CopyBuilder>();
}
std::vector<FieldInfo> describe_copy_builder() { return options_describe<CopyOptions>(); }

}  // namespace limbeck
