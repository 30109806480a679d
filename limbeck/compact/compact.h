/// Compaction: from a KvCache to a smaller KvCache of the same logical length.
///
/// A method is scorer x allocator x builder, in one or several stages. Ratio always means the
/// fraction KEPT of the span's entries. Query-agnostic: the question comes later. Ring layers are
/// left alone.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/compact/methods/presets.h"
#include "limbeck/compact/queries/repeat.h"
#include "limbeck/compact/selection.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace limbeck {

struct CompactOptions {
  std::string method{kDefaultMethod};
  /// Replace parts of the preset (single-stage presets only for scorer and allocator).
  std::string scorer, allocator, builder;
  OptionTexts scorer_options;  ///< of the (last) stage's scorer
  std::string normalize;  ///< "", "zscore", "rank" or "share": makes scores of heads comparable
  std::optional<double> ratio;         ///< in (0, 1]; exactly one of ratio and budget
  std::optional<int64_t> budget;       ///< slots kept per head, mean over heads
  std::optional<PositionRange> span;   ///< default: everything
  std::vector<PositionRange> protect;  ///< always kept, charged to the budget
  bool protect_overflow = false;  ///< keep protected slots beyond the budget instead of refusing
  int64_t chunk = 0;  ///< contests inside pieces of about this many tokens; 0 = one contest
  int64_t repeat_chunk = 2000;  ///< tokens of one repeat (scorers that need queries)
  RepeatPrompt repeat;          ///< needed by scorers that need queries
  int64_t seed = 0;
  ProgressFn progress;
};

struct CompactReport {
  std::string method, builder;
  PositionRange span;
  double requested_ratio = 1.0;
  double achieved_ratio = 1.0;  ///< stored entries / entries before, over the span
  int64_t entries_before = 0, entries_after = 0;  ///< of the span, all full layers and heads
  std::vector<int64_t> kept;                      ///< [full layers * H] slots of the span per head
  int64_t bytes_before = 0, bytes_after = 0;      ///< of the whole cache, as allocated
  StageSeconds seconds;
  std::vector<std::string> notes;  ///< permitted fallbacks that were taken, once each
};

/// Compacts `cache` in place; on any error it is as it was. Ratio 1 returns it untouched.
CompactReport compact(const Model& model, KvCache& cache, const CompactOptions& options);

}  // namespace limbeck
