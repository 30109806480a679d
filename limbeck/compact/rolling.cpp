#include "limbeck/compact/rolling.h"

#include "limbeck/base/error.h"
#include "limbeck/base/timing.h"
#include "limbeck/compact/contest.h"
#include "limbeck/model/shift.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

constexpr std::pair<Overflow, std::string_view> kPolicies[] = {
    {Overflow::error, "error"},
    {Overflow::compact, "compact"},
    {Overflow::shift, "shift"},
    {Overflow::compact_shift, "compact-shift"},
};

}  // namespace

std::string_view overflow_name(Overflow policy) {
  for (const auto& [value, name] : kPolicies)
    if (value == policy) return name;
  return "?";
}

Overflow overflow_from_name(std::string_view name) {
  for (const auto& [value, known] : kPolicies)
    if (known == name) return value;
  throw InvalidArgument(
      "[rolling] the overflow policy is error, compact, shift or compact-shift; found \"{}\"",
      name);
}

std::string RollingEvent::text() const {
  if (kind == Kind::shift)
    return fmt::format("dropped the oldest {} tokens at {} tokens: {:.0f} -> {:.0f} slots a head",
                       dropped, at, from, to);
  return fmt::format("compacted with {} at {} tokens: {:.0f} -> {:.0f} slots a head, {:.2f} s",
                     method, at, from, to, seconds);
}

RollingBudget::RollingBudget(const Model& model, RollingOptions options)
    : model_(model), options_(std::move(options)) {
  const RollingOptions& o = options_;
  if (!(o.margin >= 0.1 && o.margin <= 4.0))
    throw InvalidArgument("[rolling] the margin must be in [0.1, 4]; found {}", o.margin);
  if (o.first < 0 || o.recent < 1)
    throw InvalidArgument(
        "[rolling] first must be at least 0 and recent at least 1 token; found {} and {}", o.first,
        o.recent);
  if (o.budget < 0 || (o.budget > 0 && o.budget < o.first + o.recent + 8))
    throw InvalidArgument(
        "[rolling] a budget needs 8 slots beside the {} first and {} newest tokens; found {}",
        o.first, o.recent, o.budget);
  if (model.spec().context_length <= o.first + o.recent)
    throw InvalidArgument(
        "[rolling] first and recent tokens must leave room in the window of {}; found {} and {}",
        model.spec().context_length, o.first, o.recent);
  if (!o.compact.protect.empty())
    throw InvalidArgument(
        "[rolling] positions move when old tokens are dropped: ranges to protect belong to the "
        "cache (set_protected_ranges); found {} in the options",
        o.compact.protect.size());
  find_preset(o.compact.method);
  find_preset(o.fallback);
  // A larger one never acts, and sums with it would overflow.
  options_.budget = std::min(options_.budget, model.spec().context_length);
}

int64_t RollingBudget::high_mark() const {
  return static_cast<int64_t>(static_cast<double>(options_.budget) * (1.0 + options_.margin));
}

int64_t RollingBudget::chunk(int64_t wanted) const {
  int64_t most = model_.spec().context_length - options_.first - options_.recent;
  if (options_.budget > 0) most = std::min(most, high_mark() - options_.budget);
  return std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, most));
}

bool RollingBudget::fits_budget(const KvCache& cache, int64_t rows) const {
  return options_.budget == 0 ||
         cache.mean_slots() + static_cast<double>(rows) <= static_cast<double>(high_mark());
}

bool RollingBudget::fits_window(const KvCache& cache, int64_t rows) const {
  return cache.logical_length() + rows <= model_.spec().context_length;
}

bool RollingBudget::make_room(KvCache& cache, int64_t rows) {
  const Overflow policy = options_.overflow;
  const bool compacts = policy == Overflow::compact || policy == Overflow::compact_shift;
  const bool shifts = policy == Overflow::shift || policy == Overflow::compact_shift;
  if (!fits_window(cache, rows) && !shifts) return false;
  if (!fits_budget(cache, rows)) {
    if (policy == Overflow::error) return false;
    if (compacts) run_compact(cache);
    if (!compacts && !shift_to_budget(cache, rows)) return false;
    // One step only: what did not help once will not help twice.
    if (!fits_budget(cache, rows)) return false;
  }
  if (fits_window(cache, rows)) return true;
  const int64_t window = model_.spec().context_length;
  const int64_t needed = cache.logical_length() + rows - window;
  return run_shift(cache, std::max(needed, window / 8)) && fits_window(cache, rows);
}

bool RollingBudget::repeat_pass_fits(const KvCache& cache, PositionRange span) const {
  const CompactOptions& o = options_.compact;
  if (!method_needs_queries(o) || o.repeat.first.empty()) return true;
  try {
    repeat_suffixes(model_, cache, span, o.repeat, o.repeat_chunk);
    return true;
  } catch (const InvalidArgument&) {
    return false;
  }
}

void RollingBudget::run_compact(KvCache& cache) {
  const PositionRange span{options_.first, cache.logical_length() - options_.recent};
  if (span.size() < 1) return;
  CompactOptions o = options_.compact;
  if (!repeat_pass_fits(cache, span)) {
    o = {};
    o.method = options_.fallback;
    o.seed = options_.compact.seed;
  }
  o.span = span;
  o.ratio.reset();
  o.budget = options_.budget - options_.first - options_.recent;
  o.protect_overflow = true;  // protected ranges may outgrow the budget; then the caller stops
  RollingEvent event;
  event.at = cache.logical_length();
  event.from = cache.mean_slots();
  Stopwatch watch;
  event.method = compact(model_, cache, o).method;
  event.seconds = watch.seconds();
  event.to = cache.mean_slots();
  events_.push_back(std::move(event));
}

bool RollingBudget::run_shift(KvCache& cache, int64_t tokens) {
  int64_t begin = options_.first;
  if (cache.head_pattern() != nullptr) begin = std::max(begin, cache.head_pattern()->sinks);
  // The oldest unprotected tokens: behind protected ranges that begin at once.
  for (const PositionRange& r : cache.protected_ranges())
    if (r.begin <= begin) begin = std::max(begin, r.end);
  int64_t end = std::min(cache.logical_length() - options_.recent, shift_limit(cache));
  for (const PositionRange& r : cache.protected_ranges())
    if (r.begin >= begin) end = std::min(end, r.begin);
  end = std::min(end, begin + tokens);
  if (end <= begin) return false;
  RollingEvent event;
  event.kind = RollingEvent::Kind::shift;
  event.at = cache.logical_length();
  event.from = cache.mean_slots();
  event.dropped = end - begin;
  Stopwatch watch;
  cache_shift(model_, cache, {begin, end});
  event.seconds = watch.seconds();
  event.to = cache.mean_slots();
  dropped_ += event.dropped;
  events_.push_back(std::move(event));
  return true;
}

bool RollingBudget::shift_to_budget(KvCache& cache, int64_t rows) {
  // Down to the budget, or below it when the rows need more than the margin.
  const double target = static_cast<double>(std::min(options_.budget, high_mark() - rows));
  const double excess = cache.mean_slots() - target;
  const auto kept = static_cast<double>(options_.first + options_.recent);
  const double slots = cache.mean_slots() - kept;
  const double positions = static_cast<double>(cache.logical_length()) - kept;
  if (slots <= 0 || positions <= 0) return false;
  // Where slots stand for several tokens, more tokens have to go.
  return run_shift(cache, static_cast<int64_t>(std::ceil(excess * positions / slots)));
}

int64_t slots_of_bytes(const CacheShape& shape, int64_t bytes, double margin) {
  int64_t rings = 0;
  for (const LayerKind& kind : shape.layers)
    if (kind.type == LayerKind::Type::ring)
      rings += (kind.window - 1) * shape.kv_heads * shape.slot_bytes();
  // A compacted slot has a position and may have a bias.
  const int64_t slot = shape.full_layer_count() * shape.kv_heads * (shape.slot_bytes() + 8);
  const int64_t slots =
      slot > 0 ? static_cast<int64_t>(static_cast<double>(bytes - rings) / (1.0 + margin)) / slot
               : 0;
  if (slots < 1)
    throw InvalidArgument(
        "[rolling] a slot takes {} bytes in this model and sliding windows {}; found a budget of "
        "{} bytes",
        slot, rings, bytes);
  return slots;
}

}  // namespace limbeck
