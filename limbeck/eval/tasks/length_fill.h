/// Filling a sample up to a length in tokens: whole numbers only, no texts.
///
/// Sizes x = first, first + step, ... up to a cap stand for words, lines or documents; a callback
/// builds a sample of size x and counts it. The rule is that of RULER (arXiv 2404.06654): the
/// largest size whose probe fits, made smaller for a sample that does not. A sample that leaves
/// room for more than two steps is made larger, so that lengths stay within two steps of the
/// maximum.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

namespace limbeck {

struct FillSteps {
  int64_t first = 1;  ///< smallest size
  int64_t step = 1;
  int64_t cap = std::numeric_limits<int64_t>::max();  ///< there is no more material; >= first
};

/// Tokens of a sample of size x, or nothing when there is no material for this size.
using LengthOf = std::function<std::optional<int64_t>(int64_t x)>;

/// The largest size with at most `max` tokens; nothing when the smallest has more. Sizes are
/// doubled, then bisected; length_of is called once a size at most.
std::optional<int64_t> largest_fitting(const FillSteps& steps, int64_t max,
                                       const LengthOf& length_of);

/// The size of one sample, beginning at size `x`: one step smaller while it has more than `max`
/// tokens; larger while it has fewer than max - 2 * step_tokens and the cap allows. The last call
/// of length_of that gave at most `max` was for the result. Nothing when no size fits.
std::optional<int64_t> fit_sample(const FillSteps& steps, int64_t max, int64_t x,
                                  int64_t step_tokens, const LengthOf& length_of);

}  // namespace limbeck
