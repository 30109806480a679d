/// Allocators: from ranked slots to kept slots. Integer planning; no tensors.
///
/// Adding one: a source file with a subclass, a test, and a line in registry.cpp.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/compact/selection.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class Allocator {
 public:
  virtual ~Allocator() = default;
  /// Scores must be comparable at least this widely (after `normalize`).
  virtual Comparable requires_comparable() const = 0;
  /// The heads' budgets are shares of a head table instead of equal ones.
  virtual bool uses_table() const { return false; }
  /// Heads in order (layer, head). Keeps all forced slots and at most `share` of the heads' budgets
  /// in all (a head that has no more candidates keeps fewer); share 1 is the whole.
  virtual Selection allocate(std::span<const HeadContest> heads, double share) const = 0;
};

struct AllocatorEntry {
  std::string name, summary;
  std::unique_ptr<Allocator> (*make)();
};
const std::vector<AllocatorEntry>& allocator_registry();
/// Throws InvalidArgument that lists the known names.
std::unique_ptr<Allocator> make_allocator(std::string_view name);

std::unique_ptr<Allocator> make_uniform_allocator();  ///< every head its own budget
std::unique_ptr<Allocator> make_model_allocator();    ///< one ranking over all heads and layers
std::unique_ptr<Allocator> make_table_allocator();    ///< every head its share of a table

}  // namespace limbeck
