/// The ratio that a quality asks for, and what every piece of the text keeps at least: one mean
/// would hide a page of numbers in fluent prose.
#pragma once

#include "limbeck/compact/quality/curve.h"
#include "limbeck/compact/quality/text_loss.h"
#include "limbeck/compact/selection.h"

#include <cstdint>
#include <span>
#include <vector>

namespace limbeck {

/// Slots per head that a part of the text keeps at least (a mean over the heads that an allocator
/// ranks together).
struct PieceFloor {
  PositionRange range;
  int64_t slots = 0;
};

struct QualityChoice {
  int64_t slots = 0;        ///< per head, of `size`
  double ratio = 1.0;       ///< slots / size
  double mean_ratio = 1.0;  ///< what the text's mean loss alone asks for
  double predicted = 1.0;   ///< quality at `ratio`
  std::vector<PieceFloor> floors;
};

/// slots = max(ceil(r(mean) N), sum of floor(r(piece) n_piece)). `quality` in (0, 1); 1 and above
/// keeps everything.
QualityChoice choose_ratio(const QualityCurve& curve, const TextLoss& loss, double quality);

/// Marks the best slots of every piece as forced until it has `share` of its floor, in each head,
/// in each layer or in the whole model together; never beyond `share` of the budget. With
/// `shared_layers` (Allocator::shared_layers) the same tokens in all heads of so many layers.
void force_floors(std::span<HeadContest> heads, std::span<const PieceFloor> floors, double share,
                  Comparable together, int64_t shared_layers = 0);

}  // namespace limbeck
