/// Builders: from kept slots to a segment.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/cache/segment.h"
#include "limbeck/compact/fit/fit_head.h"
#include "limbeck/compact/fit/head_attention.h"
#include "limbeck/compact/queries/reference_queries.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// Slots of one layer's span and the slot numbers (within each head, ascending) that were chosen.
struct BuildInput {
  int64_t layer = 0;
  const LayerSegment* slots = nullptr;
  std::span<const std::vector<int32_t>> kept;        ///< [H]
  const LayerQueries* queries = nullptr;             ///< for builders that fit
  const std::vector<HeadAttention>* seen = nullptr;  ///< [H] of these queries, if known
  /// [H] of the kept ones, ascending, those that stay bit for bit: what is fitted stands for the
  /// slots without them. Empty: none in any head.
  std::span<const std::vector<int32_t>> verbatim = {};
  /// Tokens of the text that the slots are left of, before any compaction; 0: as many as a head has
  /// slots.
  int64_t tokens = 0;
};

/// What a fit left.
struct HeadErrors {
  int64_t layer = 0, head = 0, slots = 0;
  double output = 0;      ///< relative root mean square
  double mass = 0;        ///< root mean square of the log of the mass
  bool held_out = false;  ///< on rows that took no part in the fit; else on those of the fit
};

/// Sums over the heads of one layer.
struct BuildStatistics {
  FitFallbacks fallbacks;
  std::vector<HeadErrors> heads;  ///< of each head that was fitted
};

/// New biases [t] f32 and values [t, D] f32 of a head's kept slots, and how they did.
using FittedHead = FitResult;

class Builder {
 public:
  virtual ~Builder() = default;
  virtual bool needs_queries() const { return false; }
  /// Most of a head's slots that shares of a table may give it, where the budget leaves a choice.
  virtual double largest_part() const { return 1.0; }
  /// Most reference rows per KV head that are worth having, given the mean budget of a head.
  virtual int64_t query_limit(int64_t mean_budget) const { return 0; }
  /// The work of one head, if there is any. Heads differ in it by orders of magnitude, so several
  /// threads take heads, not layers.
  virtual std::optional<FittedHead> fit(const BuildInput& in, int64_t head) const { return {}; }
  /// The kept slots of a layer with what fit() gave for its heads [H].
  LayerSegment build(const BuildInput& in, std::span<const std::optional<FittedHead>> fitted,
                     BuildStatistics& statistics) const;
  /// Both, head by head.
  LayerSegment build(const BuildInput& in, BuildStatistics& statistics) const;
};

struct BuilderEntry {
  std::string name, summary, source;
  std::unique_ptr<Builder> (*make)(const std::map<std::string, std::string>& options);
  std::vector<FieldInfo> (*describe)();
};
const std::vector<BuilderEntry>& builder_registry();
/// Throws InvalidArgument for an unknown name (lists the known ones) or bad options.
std::unique_ptr<Builder> make_builder(std::string_view name,
                                      const std::map<std::string, std::string>& options = {});

/// Keys, values, bias, positions and side values of the chosen slots, bit-exact.
LayerSegment copy_slots(const BuildInput& in);

std::unique_ptr<Builder> make_copy_builder(const std::map<std::string, std::string>& options);
std::unique_ptr<Builder> make_fit_builder(const std::map<std::string, std::string>& options);
std::unique_ptr<Builder> make_literal_builder(const std::map<std::string, std::string>& options);
std::vector<FieldInfo> describe_copy_builder();
std::vector<FieldInfo> describe_fit_builder();
std::vector<FieldInfo> describe_literal_builder();

}  // namespace limbeck
