/// Allocators: from ranked slots to kept slots. Integer planning; no tensors.
///
/// Adding one: a source file with a subclass and an options struct, a test, and a line in
/// registry.cpp.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/compact/selection.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// What an allocator takes from a table of the heads.
enum class TableUse : uint8_t {
  none,
  budgets,  ///< the heads' budgets are in proportion to its numbers
  order,    ///< heads are ranked by them (HeadContest::weight)
};

class Allocator {
 public:
  virtual ~Allocator() = default;
  /// Scores must be comparable at least this widely (after `normalize`).
  virtual Comparable requires_comparable() const = 0;
  virtual TableUse table() const { return TableUse::none; }
  /// What one layer keeps depends on that layer alone: it may be chosen before others are known.
  virtual bool layer_by_layer() const { return false; }
  /// Keeps of each head the best of its own budget and looks at no score below them.
  virtual bool takes_best() const { return false; }
  /// So many layers in a row keep the same tokens in all their heads, chosen by the scores of the
  /// first; 0 = every head has its own.
  virtual int64_t shared_layers() const { return 0; }
  /// Heads in order (layer, head). Keeps all forced slots and at most `share` of the heads' budgets
  /// in all (a head that has no more candidates keeps fewer); share 1 is the whole. Forced slots
  /// are charged to the budget: what is left is handed out.
  virtual Selection allocate(std::span<const HeadContest> heads, double share) const = 0;
};

using AllocatorOptions = std::map<std::string, std::string>;

struct AllocatorEntry {
  std::string name, summary, source;  ///< source: arXiv id
  std::unique_ptr<Allocator> (*make)(const AllocatorOptions& options);
  std::vector<FieldInfo> (*describe)();
};
const std::vector<AllocatorEntry>& allocator_registry();
/// Throws InvalidArgument for an unknown name (lists the known ones) or bad options.
std::unique_ptr<Allocator> make_allocator(std::string_view name,
                                          const AllocatorOptions& options = {});

// One maker and one description per allocator; registry.cpp lists them.
std::unique_ptr<Allocator> make_adakv_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_chunk_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_head_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_layer_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_lazy_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_model_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_norm_stop_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_pyramid_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_table_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_threshold_allocator(const AllocatorOptions& options);
std::unique_ptr<Allocator> make_uniform_allocator(const AllocatorOptions& options);
std::vector<FieldInfo> describe_adakv_allocator();
std::vector<FieldInfo> describe_chunk_allocator();
std::vector<FieldInfo> describe_lazy_allocator();
std::vector<FieldInfo> describe_norm_stop_allocator();
std::vector<FieldInfo> describe_plain_allocator();  ///< of those without options
std::vector<FieldInfo> describe_pyramid_allocator();
std::vector<FieldInfo> describe_threshold_allocator();

}  // namespace limbeck
