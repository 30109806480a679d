/// A budget that a cache keeps to while a sequence grows, and what happens when it is full.
///
/// Hysteresis: the cache may grow to budget * (1 + margin), then it is brought down to the budget.
/// Compaction leaves positions alone, so the model's window is a second limit, which only `shift`
/// passes (docs/methods.md). Every step is recorded; a step that frees too little ends the
/// generation instead of being repeated.
#pragma once

#include "limbeck/compact/compact.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// At the budget, and at the model's window. Append-only.
enum class Overflow : uint8_t {
  error,          ///< no more tokens
  compact,        ///< budget: compact; window: no more tokens
  shift,          ///< both: drop the oldest tokens
  compact_shift,  ///< budget: compact; window: drop the oldest tokens
};
std::string_view overflow_name(Overflow policy);
/// Throws InvalidArgument that lists the names.
Overflow overflow_from_name(std::string_view name);

struct RollingOptions {
  int64_t budget = 0;    ///< slots a head, mean over full layers; 0 = only the window limits
  double margin = 0.25;  ///< in [0.1, 4]: how far the cache may outgrow the budget
  Overflow overflow = Overflow::compact;
  int64_t first = 4;    ///< first positions that are always kept (sinks, a system text)
  int64_t recent = 64;  ///< newest tokens kept verbatim
  /// Method and its options; ratio, budget and span are this class's business. Protected ranges are
  /// those of the cache, which move with it: `protect` must be empty.
  CompactOptions compact;
  /// Takes over when the window leaves no room for the method's repeat pass.
  std::string fallback = "keydiff";
};

struct RollingEvent {
  enum class Kind : uint8_t { compact, shift };
  Kind kind = Kind::compact;
  int64_t at = 0;           ///< logical length before
  double from = 0, to = 0;  ///< mean slots a head before and after
  int64_t dropped = 0;      ///< tokens (shift)
  std::string method;       ///< (compact)
  double seconds = 0;
  /// One line for people: what was done and to what effect.
  std::string text() const;
};

class RollingBudget {
 public:
  /// Throws InvalidArgument when the budget leaves nothing between first and recent tokens, for a
  /// margin out of range, or for ranges to protect. The model must outlive it.
  RollingBudget(const Model& model, RollingOptions options);

  /// Makes room for `rows` more tokens. False when the policy has no way to; then nothing was
  /// done that did not stay within the policy. For GenerateOptions::make_room.
  bool make_room(KvCache& cache, int64_t rows);

  /// Most slots a head that the cache grows to.
  int64_t high_mark() const;
  /// Rows to feed at once so that the high mark holds, at most `wanted`.
  int64_t chunk(int64_t wanted) const;
  const std::vector<RollingEvent>& events() const { return events_; }
  int64_t dropped() const { return dropped_; }

 private:
  bool fits_budget(const KvCache& cache, int64_t rows) const;
  bool fits_window(const KvCache& cache, int64_t rows) const;
  void run_compact(KvCache& cache);
  bool run_shift(KvCache& cache, int64_t tokens);
  bool shift_to_budget(KvCache& cache, int64_t rows);
  bool repeat_pass_fits(const KvCache& cache, PositionRange span) const;

  const Model& model_;
  RollingOptions options_;
  std::vector<RollingEvent> events_;
  int64_t dropped_ = 0;
};

/// The budget in slots a head with which a cache of this shape, margin included, stays within
/// `bytes`. Throws InvalidArgument when that is less than one slot.
int64_t slots_of_bytes(const CacheShape& shape, int64_t bytes, double margin);

}  // namespace limbeck
