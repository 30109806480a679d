#include "limbeck/compact/build/builder.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

class CopyBuilder : public Builder {
 public:
  LayerSegment build(const BuildInput& in) const override {
    std::vector<int64_t> rows, offsets{0};
    for (size_t h = 0; h < in.kept.size(); ++h) {
      for (int32_t slot : in.kept[h]) rows.push_back(in.slots->offsets[h] + slot);
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    return segment_gather(*in.slots, at::tensor(rows, at::TensorOptions().dtype(at::kLong)),
                          std::move(offsets));
  }
};

}  // namespace

std::unique_ptr<Builder> make_copy_builder() { return std::make_unique<CopyBuilder>(); }

const std::vector<BuilderEntry>& builder_registry() {
  static const std::vector<BuilderEntry> entries = {
      {"copy", "the chosen slots as they are", make_copy_builder},
  };
  return entries;
}

std::unique_ptr<Builder> make_builder(std::string_view name) {
  std::string known;
  for (const BuilderEntry& e : builder_registry()) {
    if (e.name == name) return e.make();
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw InvalidArgument("[compact] unknown builder \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
