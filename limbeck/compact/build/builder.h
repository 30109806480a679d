/// Builders: from kept slots to a segment.
#pragma once

#include "limbeck/cache/segment.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Slots of one layer's span and the slot numbers (within each head, ascending) that were chosen.
struct BuildInput {
  int64_t layer = 0;
  const LayerSegment* slots = nullptr;
  std::span<const std::vector<int32_t>> kept;  ///< [H]
};

class Builder {
 public:
  virtual ~Builder() = default;
  virtual LayerSegment build(const BuildInput& in) const = 0;
};

struct BuilderEntry {
  std::string name, summary;
  std::unique_ptr<Builder> (*make)();
};
const std::vector<BuilderEntry>& builder_registry();
std::unique_ptr<Builder> make_builder(std::string_view name);

/// Keys, values, bias, positions and side values of the chosen slots, bit-exact.
std::unique_ptr<Builder> make_copy_builder();

}  // namespace limbeck
