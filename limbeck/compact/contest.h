/// One contest over one span of a cache: what compact() does once, or once a piece. Private to this
/// room.
#pragma once

#include "limbeck/compact/allocate/allocator.h"
#include "limbeck/compact/compact.h"

#include <memory>
#include <span>
#include <string_view>

namespace limbeck {

/// The span that the options name; by default everything.
PositionRange span_of(const KvCache& cache, const CompactOptions& options);

/// The preset that the options name, with the parts that they replace. Throws InvalidArgument for
/// unknown names and for parts that a method of several stages does not let go of.
Preset resolve_preset(const CompactOptions& options);

/// Whether the method learns from reference queries, which take positions behind the text.
bool method_needs_queries(const CompactOptions& options);
/// Throws InvalidArgument for an allocator that ranks more widely than the stage's scores compare.
void check_comparable(const Stage& stage, const Scorer& scorer, const Allocator& allocator,
                      std::string_view normalize);

/// Throws InvalidArgument for parts that do not go together, and for options that none of them
/// reads.
void check_combination(const Preset& preset, std::span<const std::unique_ptr<Scorer>> scorers,
                       std::span<const std::unique_ptr<Allocator>> allocators,
                       const Builder& builder, const CompactOptions& options);

/// Throws Mismatch for tables of heads of another shape.
void check_head_tables(const CacheShape& shape, const CompactOptions& options);

/// Of the segment that takes the place of report.span.
SegmentInfo segment_info(const KvCache& cache, const Preset& preset, const CompactOptions& options,
                         const CompactReport& report);

/// Passes over the span that give reference queries: those asked for, else the preset's.
QuerySources sources_of(const CompactOptions& options);
/// Whether any reference queries come from tokens behind the span, which polish learns from.
bool has_suffixes(const CompactOptions& options);
/// What the model reads behind the cache for the sake of its queries.
std::vector<ReferenceSuffix> reference_suffixes(const Model& model, const KvCache& cache,
                                                PositionRange span, const CompactOptions& options);

/// Scores, selects and builds over options.span as a whole; `slots` >= 0 overrides the budget per
/// head (pieces of a longer span). Strong guarantee.
CompactReport run_contest(const Model& model, KvCache& cache, const CompactOptions& options,
                          int64_t slots = -1);

/// Errors and numerical fallbacks of the fits of all layers into the report.
void note_fits(const std::vector<BuildStatistics>& layers, CompactReport& report);

}  // namespace limbeck
