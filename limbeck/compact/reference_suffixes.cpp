#include "limbeck/compact/contest.h"
#include "limbeck/compact/queries/excerpts.h"
#include "limbeck/compact/queries/sampled.h"

#include <algorithm>

namespace limbeck {

PositionRange span_of(const KvCache& cache, const CompactOptions& o) {
  return o.span.value_or(PositionRange{0, cache.logical_length()});
}

QuerySources sources_of(const CompactOptions& o) {
  return o.sources.value_or(find_preset(o.method).queries);
}

namespace {

/// A prompt for them, or nothing else to learn from (which is refused for want of a prompt).
bool wants_passes(const CompactOptions& o) {
  return !o.repeat.first.empty() ||
         (o.references.empty() && !o.prefill_queries && o.sampled_tokens == 0);
}

}  // namespace

bool has_suffixes(const CompactOptions& o) {
  const QuerySources from = sources_of(o);
  return !o.references.empty() || o.sampled_tokens > 0 ||
         (wants_passes(o) && (from.repeat || from.excerpts > 0));
}

std::vector<ReferenceSuffix> reference_suffixes(const Model& model, const KvCache& cache,
                                                PositionRange span, const CompactOptions& o) {
  std::vector<ReferenceSuffix> out = o.references;
  if (wants_passes(o)) {
    const QuerySources from = sources_of(o);
    std::vector<ReferenceSuffix> passes;
    if (from.repeat) passes = repeat_suffixes(model, cache, span, o.repeat, o.repeat_chunk);
    if (from.excerpts > 0)
      for (ReferenceSuffix& s : excerpt_suffixes(model, cache, span, o.repeat, from.excerpts,
                                                 std::min(o.repeat_chunk, kExcerptSuffix), o.seed))
        passes.push_back(std::move(s));
    out.insert(out.begin(), passes.begin(), passes.end());
  }
  if (o.sampled_tokens > 0)
    out.push_back(sampled_suffix(model, cache, span, o.sampled_tokens, o.sampled_weight, o.seed));
  if (o.prefill_queries)
    out.push_back({.tokens = {}, .chunk = span, .weight = 1.0, .in_place = true});
  return out;
}

}  // namespace limbeck
