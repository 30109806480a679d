#include "limbeck/compact/allocate/allocator.h"

namespace limbeck {

const std::vector<AllocatorEntry>& allocator_registry() {
  static const std::vector<AllocatorEntry> entries = {
      {"model", "one ranking over all heads and layers", make_model_allocator},
      {"table", "every head keeps its share of a head table", make_table_allocator},
      {"uniform", "every head keeps the same share", make_uniform_allocator},
  };
  return entries;
}

std::unique_ptr<Allocator> make_allocator(std::string_view name) {
  std::string known;
  for (const AllocatorEntry& e : allocator_registry()) {
    if (e.name == name) return e.make();
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw InvalidArgument("[compact] unknown allocator \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
