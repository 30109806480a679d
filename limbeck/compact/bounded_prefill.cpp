#include "limbeck/compact/bounded_prefill.h"

#include "limbeck/base/error.h"
#include "limbeck/base/timing.h"
#include "limbeck/compact/chunk_fold.h"
#include "limbeck/compact/contest.h"

#include <algorithm>
#include <memory>

namespace limbeck {
namespace {

/// Slots a head that rule, ratio or budget leave of a text of `total` tokens when [0, end) has been
/// read and the last chunk began at `begin`.
int64_t target(const BoundedPrefillOptions& o, int64_t begin, int64_t end, int64_t total) {
  if (o.rule == ChunkRule::everything)
    return o.compact.budget ? *o.compact.budget : kept_of_ratio(*o.compact.ratio, end);
  if (o.compact.ratio) return kept_of_ratio(*o.compact.ratio, end - begin);
  // Shares of a budget: differences of rounded sums, so that they add up.
  const auto share = [&](int64_t at) {
    return static_cast<int64_t>(static_cast<__int128>(*o.compact.budget) * at / total);
  };
  return std::max<int64_t>(1, share(end) - share(begin));
}

/// Mean slots of the full layers' heads in [begin, ...).
double held_from(const KvCache& cache, int64_t begin) {
  int64_t slots = 0, heads = 0;
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
    const LayerCache& layer = cache.layer(l);
    if (layer.kind.type != LayerKind::Type::full) continue;
    const int64_t members =
        cache.shape().kv_heads - static_cast<int64_t>(layer.stream.heads.size());
    heads += members;
    for (size_t s = 0; s < cache.segments().size(); ++s)
      if (cache.segments()[s].begin >= begin) slots += layer.segments[s]->slots();
    if (cache.tail_begin() >= begin) slots += members * layer.tail.length;
  }
  return heads > 0 ? static_cast<double>(slots) / static_cast<double>(heads) : 0.0;
}

class Reader {
 public:
  Reader(const Model& model, KvCache& cache, std::span<const int32_t> tokens,
         const BoundedPrefillOptions& options)
      : model_(model), cache_(cache), tokens_(tokens), options_(options) {}

  BoundedPrefillReport run() {
    check();
    first_ = cache_.logical_length() + options_.begin;
    if (options_.begin > 0) read(0, options_.begin);
    cache_.seal();  // what stays verbatim is a segment of its own
    for (int64_t at = options_.begin; at < size();) {
      const int64_t end = std::min(at + report_.chunk, size());
      if (!read_folded(at, end)) {
        read(at, end);
        report_.measured_peak = std::max(report_.measured_peak, cache_.mean_slots());
        report_.bytes_peak = std::max(report_.bytes_peak, cache_.bytes().total());
        compact_chunk(at, end);
      }
      at = end;
      report_progress(options_.progress, {"prefill", "tokens", at, size()});
    }
    finish();
    return std::move(report_);
  }

 private:
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }

  void check() {
    const BoundedPrefillOptions& o = options_;
    const int64_t window = model_.spec().context_length;
    if (o.begin < 0 || o.begin >= size())
      throw InvalidArgument("[prefill] begin must be in [0, {}); found {}", size(), o.begin);
    if (cache_.logical_length() + size() > window)
      throw InvalidArgument(
          "[prefill] the model's window is {} tokens; found {} already seen and {} more", window,
          cache_.logical_length(), size());
    if (o.compact.ratio.has_value() == o.compact.budget.has_value())
      throw InvalidArgument("[compact] give either a ratio or a budget; found {}",
                            o.compact.ratio ? "both" : "neither");
    if (o.compact.ratio && !(*o.compact.ratio > 0.0 && *o.compact.ratio <= 1.0))
      throw InvalidArgument("[compact] ratio must be in (0, 1]; found {}", *o.compact.ratio);
    if (o.compact.only_new && o.rule == ChunkRule::everything)
      throw InvalidArgument(
          "[prefill] under the rule everything what has been compacted competes again; only_new "
          "goes with the rule chunk");
    if (o.chunk < 0)
      throw InvalidArgument("[prefill] chunk must be at least 0 (0 = auto); found {}", o.chunk);
    if (o.compact.budget && *o.compact.budget < 1)
      throw InvalidArgument("[compact] budget must be at least 1 slot per head; found {}",
                            *o.compact.budget);
    report_.chunk = o.chunk > 0 ? o.chunk : auto_chunk(size() - o.begin);
    compact_ = o.compact;
    if (o.rule == ChunkRule::chunk) fit_method();
    report_.nominal_peak = static_cast<double>(nominal_bounded_peak(
        {size() - o.begin, 0, report_.chunk}, o, cache_.logical_length() + o.begin));
  }

  /// Per-chunk eviction as published: `pyramid` counts in whole numbers, and under an automatic
  /// chunk C the scorers' window is C / 16 and at most 64.
  void fit_method() {
    const Preset preset = resolve_preset(compact_);
    if (preset.stages.size() != 1) return;
    const Stage& stage = preset.stages[0];
    for (const ScorerEntry& e : scorer_registry()) {
      if (options_.chunk > 0 || e.name != stage.scorer || stage.options.contains("window"))
        continue;
      for (const FieldInfo& f : e.describe())
        if (f.name == "window" && e.make(stage.options)->traits().own_rows > 0)
          compact_.scorer_options["window"] =
              std::to_string(std::max<int64_t>(1, std::min<int64_t>(64, report_.chunk / 16)));
    }
    if (stage.allocator == "pyramid" && !stage.allocator_options.contains("compat"))
      compact_.allocator_options["compat"] = "int";
  }

  void read(int64_t begin, int64_t end) {
    Stopwatch watch;
    PrefillOptions p;
    // A chunk is one forward call: rows see what was held when it began.
    p.chunk = end - begin;
    p.logits = LogitsWanted::none;
    prefill(model_, cache_, tokens_.subspan(begin, end - begin), p);
    prefill_seconds_ += watch.seconds();
  }

  /// Slots a head that are kept of what has been read up to `end`.
  int64_t kept_until(int64_t begin, int64_t end) const {
    return target(options_, begin - options_.begin, end - options_.begin, size() - options_.begin);
  }

  /// Reads a chunk and frees each layer at once, if the method can choose so and something has to
  /// go.
  bool read_folded(int64_t begin, int64_t end) {
    const int64_t rows = end - begin, slots = kept_until(begin, end);
    const bool all = options_.rule == ChunkRule::everything;
    const int64_t from = all ? first_ : cache_.logical_length();
    const PositionRange span{from, cache_.logical_length() + rows};
    if (!options_.by_layer || !options_.patch.empty() ||
        !ChunkFold::fits(cache_, compact_, span, rows) ||
        static_cast<double>(slots) >= held_from(cache_, from) + static_cast<double>(rows))
      return false;
    if (fold_ == nullptr) fold_ = std::make_unique<ChunkFold>(model_, cache_, compact_);
    if (!all) cache_.seal();  // a chunk that was kept whole
    fold_->begin(span, slots);
    report_.measured_peak = std::max(report_.measured_peak, mean_slots_with(rows));
    Stopwatch watch;
    ForwardOptions o;
    o.logits = LogitsWanted::none;
    o.fold = fold_.get();
    model_.forward(cache_, tokens_.subspan(begin, rows), o);
    const CompactReport r = fold_->take_report();
    double choosing = 0;
    for (const auto& [stage, seconds] : r.seconds) choosing += seconds;
    prefill_seconds_ += watch.seconds() - choosing;
    report_.bytes_peak = std::max(report_.bytes_peak, fold_->bytes_peak());
    ++report_.compactions;
    add(r);
    return true;
  }

  /// Mean slots a head after so many more rows.
  double mean_slots_with(int64_t rows) const {
    int64_t slots = 0, heads = 0;
    for (int64_t l = 0; l < cache_.shape().layer_count(); ++l) {
      const LayerCache& layer = cache_.layer(l);
      if (layer.kind.type != LayerKind::Type::full) continue;
      for (int64_t h = 0; h < cache_.shape().kv_heads; ++h, ++heads) {
        const int64_t after = cache_.slots(l, h) + rows;
        const bool streams = stream_has(layer.stream, h);
        slots += streams ? std::min(after, layer.stream.sinks + layer.stream.window) : after;
      }
    }
    return static_cast<double>(slots) / static_cast<double>(std::max<int64_t>(heads, 1));
  }

  void compact_chunk(int64_t begin, int64_t end) {
    const int64_t slots = kept_until(begin, end);
    CompactOptions o = compact_;
    const bool all = options_.rule == ChunkRule::everything;
    const int64_t from = all ? first_ : cache_.logical_length() - (end - begin);
    if (static_cast<double>(slots) >= held_from(cache_, from)) return;
    o.span = PositionRange{from, cache_.logical_length()};
    o.ratio.reset();
    o.budget = slots;
    if (!options_.patch.empty()) {
      o.repeat = {};
      o.prefill_queries = false;
      o.sampled_tokens = 0;
      o.references = {{.tokens = options_.patch, .chunk = *o.span}};
      o.query_aware = true;
    }
    const CompactReport r = compact(model_, cache_, o);
    ++report_.compactions;
    const bool asked = std::any_of(r.seconds.begin(), r.seconds.end(),
                                   [](const auto& s) { return s.first == "queries"; });
    if (!options_.patch.empty() && !asked)
      throw InvalidArgument("[prefill] a patch needs a method that learns from queries; found {}",
                            r.method);
    add(r);
  }

  bool fits_stay() const { return options_.rule == ChunkRule::chunk || compact_.only_new; }

  void add(const CompactReport& r) {
    CompactReport& sum = report_.compaction;
    sum.add_costs(r);
    // A chunk's fits stand, those of everything read so far are made anew with every chunk.
    if (!fits_stay()) {
      sum.statistics.clear();
      sum.heads.clear();
    }
    sum.add_fits(r);
    sum.bytes_before = std::max(sum.bytes_before, r.bytes_before);
  }

  /// The report speaks of the text as a whole.
  void finish() {
    CompactReport& sum = report_.compaction;
    const int64_t text = size() - options_.begin;
    if (fits_stay() && report_.compactions > 0) sum.settle_parts(report_.compactions);
    sum.span = {first_, cache_.logical_length()};
    sum.seconds.insert(sum.seconds.begin(), {"prefill", prefill_seconds_});
    for (int64_t l = 0; l < cache_.shape().layer_count(); ++l) {
      const LayerCache& layer = cache_.layer(l);
      if (layer.kind.type != LayerKind::Type::full) continue;
      const LayerSegment all = cache_gather(cache_, l, sum.span);
      for (int64_t h = 0; h < all.kv_heads(); ++h) {
        sum.kept.push_back(all.slots(h));
        sum.entries_after += all.slots(h);
        if (!stream_has(layer.stream, h)) sum.entries_before += text;
      }
    }
    sum.settle_ratio();
    sum.requested_ratio = options_.compact.ratio.value_or(std::min(
        1.0,
        static_cast<double>(options_.compact.budget.value_or(text)) / static_cast<double>(text)));
    if (sum.method.empty()) sum.method = find_preset(options_.compact.method).name;
    sum.bytes_before = std::max(sum.bytes_before, report_.bytes_peak);
    sum.bytes_after = cache_.bytes().total();
  }

  const Model& model_;
  KvCache& cache_;
  std::span<const int32_t> tokens_;
  const BoundedPrefillOptions& options_;
  int64_t first_ = 0;  ///< position of the first token that may be compacted
  double prefill_seconds_ = 0;
  CompactOptions compact_;  ///< the method, with a window that fits the chunk
  std::unique_ptr<ChunkFold> fold_;
  BoundedPrefillReport report_;
};

}  // namespace

int64_t nominal_bounded_peak(const NominalRun& run, const BoundedPrefillOptions& o,
                             int64_t before) {
  int64_t held = 0, peak = 0;
  for (int64_t a = 0; a < run.prompt; a += run.chunk) {
    const int64_t end = std::min(a + run.chunk, run.prompt), rows = end - a;
    peak = std::max(peak, held + rows);
    const int64_t kept = target(o, a, end, run.prompt);
    held =
        o.rule == ChunkRule::everything ? std::min(kept, held + rows) : held + std::min(kept, rows);
  }
  return before + std::max(peak, held + run.decoded);
}

BoundedPrefillReport prefill_bounded(const Model& model, KvCache& cache,
                                     std::span<const int32_t> tokens,
                                     const BoundedPrefillOptions& options) {
  KvCache before = cache.clone();
  try {
    return Reader(model, cache, tokens, options).run();
  } catch (...) {
    cache = std::move(before);
    throw;
  }
}

}  // namespace limbeck
