#include "limbeck/compact/compact.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/contest.h"
#include "limbeck/compact/polish.h"
#include "limbeck/compact/span_surgery.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {
namespace {

/// Reports of the parts of a span as one.
void join_reports(CompactReport& all, const CompactReport& part) {
  if (all.kept.empty()) all.kept.assign(part.kept.size(), 0);
  for (size_t i = 0; i < part.kept.size(); ++i) all.kept[i] += part.kept[i];
  all.add_costs(part);
  all.add_fits(part);
  all.requested_ratio = part.requested_ratio;
  all.entries_before += part.entries_before;
  all.entries_after += part.entries_after;
}

/// The cache without what the span holds outside `piece`; positions and lengths stay.
KvCache only_piece(const KvCache& cache, PositionRange span, PositionRange piece) {
  KvCache out = cache.clone();
  for (const PositionRange& r :
       {PositionRange{span.begin, piece.begin}, PositionRange{piece.end, span.end}}) {
    if (r.size() <= 0) continue;
    SegmentInfo info;
    info.begin = r.begin;
    info.end = r.end;
    info.state = SpanState::dropped;
    std::vector<LayerSegmentPtr> layers(cache.shape().layer_count());
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (cache.layer(l).kind.type == LayerKind::Type::full)
        layers[l] = std::make_shared<LayerSegment>(segment_empty(cache.shape()));
    replace_span(out, r, info, std::move(layers));
  }
  return out;
}

bool is_verbatim(const KvCache& cache, PositionRange span) {
  return std::none_of(cache.segments().begin(), cache.segments().end(), [&](const SegmentInfo& s) {
    return s.state != SpanState::verbatim && s.begin < span.end && s.end > span.begin;
  });
}

/// Each piece by its own queries, from a cache that holds no other piece. A budget of the whole
/// span is shared over the pieces by largest remainder.
CompactReport compact_pieces(const Model& model, KvCache& cache, const CompactOptions& options,
                             const std::vector<PositionRange>& pieces) {
  const PositionRange span = span_of(cache, options);
  std::vector<int64_t> slots(pieces.size(), -1);
  if (options.budget || is_verbatim(cache, span)) {
    std::vector<double> sizes;
    for (const PositionRange& p : pieces) sizes.push_back(static_cast<double>(p.size()));
    const int64_t total = options.ratio ? kept_of_ratio(*options.ratio, span.size())
                                        : std::min(span.size(), *options.budget);
    slots = largest_remainder(total, sizes);
  }
  KvCache result = cache.clone();
  CompactReport report;
  report.span = span;
  for (size_t i = 0; i < pieces.size(); ++i) {
    KvCache alone = only_piece(cache, span, pieces[i]);
    CompactOptions o = options;
    o.span = pieces[i];
    o.scores = nullptr;  // each piece is a cache of its own
    join_reports(report, run_contest(model, alone, o, slots[i]));
    for (size_t s = 0; s < alone.segments().size(); ++s) {
      // One that keeps everything has not been cut out of what it stands in.
      if (alone.segments()[s].begin != pieces[i].begin || alone.segments()[s].end != pieces[i].end)
        continue;
      std::vector<LayerSegmentPtr> layers(cache.shape().layer_count());
      for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
        if (cache.layer(l).kind.type == LayerKind::Type::full)
          layers[l] = alone.layer(l).segments[s];
      replace_span(result, pieces[i], alone.segments()[s], std::move(layers));
    }
    report_progress(options.progress,
                    {"pieces", "tokens", pieces[i].end - span.begin, span.size()});
  }
  report.settle_parts(static_cast<int64_t>(pieces.size()));
  if (options.budget)  // of the whole; each piece has its own in its segment
    report.requested_ratio = std::min(
        1.0, static_cast<double>(*options.budget) * static_cast<double>(report.kept.size()) /
                 static_cast<double>(std::max<int64_t>(1, report.entries_before)));
  report.bytes_before = cache.bytes().total();
  report.settle_ratio();
  cache = std::move(result);
  report.bytes_after = cache.bytes().total();
  return report;
}

/// What of the span has not been compacted yet.
std::vector<PositionRange> verbatim_runs(const KvCache& cache, PositionRange span) {
  std::vector<PositionRange> runs;
  const auto add = [&](int64_t begin, int64_t end) {
    begin = std::max(begin, span.begin);
    end = std::min(end, span.end);
    if (begin >= end) return;
    if (!runs.empty() && runs.back().end == begin)
      runs.back().end = end;
    else
      runs.push_back({begin, end});
  };
  for (const SegmentInfo& s : cache.segments())
    if (s.state == SpanState::verbatim) add(s.begin, s.end);
  add(cache.tail_begin(), cache.logical_length());
  return runs;
}

/// A contest, then training steps on what it built.
CompactReport polished(const Model& model, KvCache& cache, const CompactOptions& options,
                       PositionRange span) {
  if (!has_suffixes(options))
    throw InvalidArgument(
        "[compact] polish learns from what follows the text (repeat, excerpts, sampled or other "
        "references); found the text's own queries alone");
  KvCache result = cache.clone();
  CompactReport report = run_contest(model, result, options);
  if (report.entries_after == report.entries_before) return report;  // nothing was made to train
  int64_t segment = 0;
  while (result.segments()[segment].begin != span.begin) ++segment;
  Stopwatch watch;
  PolishOptions steps;
  steps.steps = options.polish;
  steps.verbatim = options.protect;
  const PolishReport p =
      polish(model, cache, result, segment, reference_suffixes(model, cache, span, options), steps,
             options.progress);
  report.seconds.emplace_back("polish", watch.seconds());
  report.statistics["polish_kl_before"] = p.before;
  report.statistics["polish_kl_after"] = p.after;
  if (p.diverged_at > 0)
    report.notes.push_back(
        fmt::format("polish diverged at step {}; the best state before it is kept", p.diverged_at));
  cache = std::move(result);
  report.bytes_after = cache.bytes().total();
  return report;
}

CompactReport compact_span(const Model& model, KvCache& cache, const CompactOptions& options) {
  const PositionRange span = span_of(cache, options);
  const bool whole = options.ratio && *options.ratio == 1.0;
  const bool sane = span.begin >= 0 && span.end <= cache.logical_length() && options.chunk >= 0 &&
                    options.ratio.has_value() != options.budget.has_value();
  const auto pieces = sane && !whole ? cut_span(span, options.chunk) : std::vector{span};
  if (options.polish < 0)
    throw InvalidArgument("[compact] polish must be at least 0 steps; found {}", options.polish);
  if (pieces.size() <= 1 && (options.polish == 0 || whole))
    return run_contest(model, cache, options);
  if (pieces.size() <= 1) return polished(model, cache, options, span);
  if (options.polish > 0)
    throw InvalidArgument("[compact] polish works on one piece; found {}", pieces.size());
  if (options.queries != nullptr)
    throw InvalidArgument("[compact] pieces make their own queries; stored ones cannot serve");
  return compact_pieces(model, cache, options, pieces);
}

}  // namespace

void CompactReport::settle_errors() {
  if (heads.empty()) return;
  double output = 0, mass = 0;
  bool held_out = true;
  for (const HeadErrors& e : heads) {
    output += e.output;
    mass += e.mass;
    held_out = held_out && e.held_out;
  }
  const auto n = static_cast<double>(heads.size());
  const std::string rows = held_out ? "held_out" : "in_sample";
  for (const char* other : {"held_out", "in_sample"})
    for (const char* what : {"output", "mass"})
      statistics.erase(fmt::format("{}_{}_error", other, what));
  statistics["fitted_heads"] = n;
  statistics[rows + "_output_error"] = output / n;
  statistics[rows + "_mass_error"] = mass / n;
}

void CompactReport::add_costs(const CompactReport& other) {
  for (const auto& [stage, s] : other.seconds) {
    const auto known = std::find_if(seconds.begin(), seconds.end(),
                                    [&](const auto& x) { return x.first == stage; });
    if (known == seconds.end())
      seconds.emplace_back(stage, s);
    else
      known->second += s;
  }
  for (const std::string& note : other.notes)
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  method = other.method;
  builder = other.builder;
}

void CompactReport::add_fits(const CompactReport& other) {
  for (const auto& [name, value] : other.statistics) statistics[name] += value;
  heads.insert(heads.end(), other.heads.begin(), other.heads.end());
}

void CompactReport::settle_parts(int64_t parts) {
  for (auto& [name, value] : statistics)
    if (!name.starts_with("fit")) value /= static_cast<double>(parts);
  settle_errors();
}

void note_fits(const std::vector<BuildStatistics>& layers, CompactReport& report) {
  FitFallbacks sum;
  for (const BuildStatistics& s : layers) {
    sum += s.fallbacks;
    report.heads.insert(report.heads.end(), s.heads.begin(), s.heads.end());
  }
  if (report.heads.empty()) return;
  const auto count = [&](const std::string& kind, int64_t n) {
    if (n > 0) report.statistics["fit_fallbacks" + kind] = static_cast<double>(n);
  };
  count("_ridge", sum.ridge);
  count("_eigen", sum.eigen);
  count("_prior", sum.prior);
  count("_bias", sum.bias);
  report.statistics["fit_fallbacks"] = static_cast<double>(sum.total());
  report.settle_errors();
  if (sum.total() > 0)
    report.notes.push_back(
        fmt::format("numerical fallbacks of fits: {} larger ridges, {} by eigenvectors, {} priors "
                    "for values, {} biases of 0",
                    sum.ridge, sum.eigen, sum.prior, sum.bias));
}

StoredQueries capture_queries(const Model& model, const KvCache& cache,
                              const CompactOptions& options) {
  c10::NoGradGuard guard;
  const PositionRange span = span_of(cache, options);
  return store_queries(model, cache, span, reference_suffixes(model, cache, span, options),
                       options.progress);
}

CompactReport compact(const Model& model, KvCache& cache, const CompactOptions& options) {
  c10::NoGradGuard guard;
  if (!options.only_new) return compact_span(model, cache, options);
  const std::vector<PositionRange> runs = verbatim_runs(cache, span_of(cache, options));
  if (runs.empty())
    throw InvalidArgument("[compact] everything in the span has been compacted already");
  KvCache result = cache.clone();
  CompactReport report;
  report.span = span_of(cache, options);
  std::vector<double> sizes;
  for (const PositionRange& run : runs) sizes.push_back(static_cast<double>(run.size()));
  // A budget is one of all that is new.
  const std::vector<int64_t> budgets =
      options.budget ? largest_remainder(*options.budget, sizes) : std::vector<int64_t>{};
  for (size_t i = 0; i < runs.size(); ++i) {
    CompactOptions o = options;
    o.span = runs[i];
    if (options.budget) o.budget = std::max<int64_t>(1, budgets[i]);
    join_reports(report, compact_span(model, result, o));
  }
  report.settle_parts(static_cast<int64_t>(runs.size()));
  report.settle_ratio();
  report.bytes_before = cache.bytes().total();
  cache = std::move(result);
  report.bytes_after = cache.bytes().total();
  return report;
}

}  // namespace limbeck
