/// The critical footprint: the smallest one at which a method keeps a fraction phi of the full
/// cache's score (arXiv 2506.17121).
///
/// Results at the end of the measured grid are censored, never numbers: they must not be averaged.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace limbeck {

/// One run of a method on a task, at one chunk size.
struct FootprintPoint {
  double footprint = 0;  ///< footprint_total
  double score = 0;      ///< higher is better
};

struct CriticalFootprint {
  enum class Kind : uint8_t {
    not_available,  ///< the full score is not a positive number, or no point is left
    exact,
    above,  ///< even the largest footprint fails: > value
    below,  ///< even the smallest passes: < value
  };
  Kind kind = Kind::not_available;
  double value = 0;
  int64_t dropped = 0;  ///< points with a value that is not finite
  bool censored() const { return kind == Kind::above || kind == Kind::below; }
  /// "55", "< 30", "> 95", "n/a".
  std::string text() const;
};

/// First failure from the right: conservative where scores do not fall evenly. Of points with equal
/// footprints the lowest score counts; a tie with the threshold passes.
CriticalFootprint critical_footprint(double full_score, std::span<const FootprintPoint> points,
                                     double phi = 0.9);
/// The other reading: the smallest footprint anywhere that passes.
CriticalFootprint critical_any(double full_score, std::span<const FootprintPoint> points,
                               double phi = 0.9);

}  // namespace limbeck
