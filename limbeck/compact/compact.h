/// Compaction: from a KvCache to a smaller KvCache of the same logical length.
///
/// A method is scorer x allocator x builder, in one or several stages. Ratio always means the
/// fraction KEPT of the span's entries. Query-agnostic: the question comes later. Ring layers are
/// left alone.
#pragma once

#include "limbeck/base/progress.h"
#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/methods/presets.h"
#include "limbeck/compact/quality/guard.h"
#include "limbeck/compact/queries/repeat.h"
#include "limbeck/compact/score_store.h"
#include "limbeck/compact/selection.h"
#include "limbeck/heads/head_table.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace limbeck {

/// Sampled tokens where nobody says how many.
inline constexpr int64_t kSampledTokens = 96;

struct CompactOptions {
  std::string method{kDefaultMethod};
  /// Replace parts of the preset (single-stage presets only for scorer and allocator).
  std::string scorer, allocator, builder;
  OptionTexts scorer_options;     ///< of the (last) stage's scorer
  OptionTexts allocator_options;  ///< of the (last) stage's allocator
  OptionTexts builder_options;
  /// Replace scorer and allocator of the first of two stages, and give them options.
  std::string coverage, coverage_allocator;
  OptionTexts coverage_options, coverage_allocator_options;
  /// Part of the budget that the first stage of a two-stage preset hands out; default: the
  /// preset's.
  std::optional<double> first_share;
  /// Power of the head weights by which the first stage's scores count; default: where little is
  /// kept the one that the table names, for presets that say so (methods/presets.h), else 0.
  std::optional<double> head_power;
  /// "", "zscore", "rank" or "share": makes scores of heads comparable, in stages where they are
  /// not.
  std::string normalize;
  std::optional<double> ratio;         ///< in (0, 1]; exactly one of ratio and budget
  std::optional<int64_t> budget;       ///< slots kept per head, mean over heads
  std::optional<PositionRange> span;   ///< default: everything
  std::vector<PositionRange> protect;  ///< always kept, bit for bit; charged to the budget
  std::vector<PieceFloor> floors;      ///< what parts of the text keep at least (quality/guard.h)
  bool only_new = false;               ///< leave alone what of the span has been compacted before
  bool protect_overflow = false;  ///< keep protected slots beyond the budget instead of refusing
  /// Compact pieces of about this many tokens one after another, each by its own queries behind
  /// [what precedes the span | the piece | what follows the span]; 0 = the span in one piece.
  int64_t chunk = 0;

  // Reference queries, for methods that learn from them. With none of these such a method is
  // refused.
  RepeatPrompt repeat;          ///< instructions of the passes over the span; empty = no such pass
  int64_t repeat_chunk = 2000;  ///< tokens of one suffix of such a pass
  std::optional<QuerySources> sources;      ///< of these passes; default: the method's own
  std::vector<ReferenceSuffix> references;  ///< more suffixes, beside the repeat
  bool prefill_queries = false;             ///< the span's own queries as well
  bool query_aware = false;     ///< label: the references know the question (segments say so)
  int64_t sampled_tokens = 0;   ///< continue the text by so many sampled tokens, as queries
  double sampled_weight = 3.0;  ///< row weight of these
  const StoredQueries* queries = nullptr;  ///< captured before for this cache and span: no pass
  /// Takes over what another compaction of this cache, in this state, has left here: scores that
  /// are the same for this budget, what rows see, the text's own queries; and leaves its own, up to
  /// some GiB. Seconds are then those of that one.
  ScoreStore* scores = nullptr;
  /// Refit layer by layer on the queries that the already compacted lower layers cause (7).
  bool on_policy = false;
  int64_t polish = 0;      ///< so many training steps on biases and values afterwards (polish.h)
  HeadTable head_weights;  ///< importance of heads; empty = all alike
  HeadTable head_shares;   ///< budget shares for the allocator `table`
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
  /// fitted_heads, fit_fallbacks (in all, and _ridge, _eigen, _prior, _bias where there were any),
  /// means of `heads`: held_out_output_error and held_out_mass_error, or in_sample_... where no
  /// rows were held out; polish_kl_before and polish_kl_after.
  std::map<std::string, double> statistics;
  std::vector<HeadErrors> heads;  ///< of every fitted head, piece after piece
  StageSeconds seconds;
  std::vector<std::string> notes;  ///< permitted fallbacks that were taken, once each

  /// From the entries; 1 where there was none to begin with.
  void settle_ratio() {
    achieved_ratio = entries_before > 0
                         ? static_cast<double>(entries_after) / static_cast<double>(entries_before)
                         : 1.0;
  }
  /// The statistics that are means or a number of `heads`.
  void settle_errors();
  /// Takes over what another compaction cost, its notes and its method.
  void add_costs(const CompactReport& other);
  /// Takes over another's statistics and head errors beside its own; settle_parts() once all of
  /// `parts` are there: counts stay sums, everything else becomes a mean.
  void add_fits(const CompactReport& other);
  void settle_parts(int64_t parts);
};

/// Reference queries of a span as the options ask for them, to be shared by several compactions.
StoredQueries capture_queries(const Model& model, const KvCache& cache,
                              const CompactOptions& options);

/// Compacts `cache` in place; on any error it is as it was. Ratio 1 returns it untouched.
CompactReport compact(const Model& model, KvCache& cache, const CompactOptions& options);

}  // namespace limbeck
