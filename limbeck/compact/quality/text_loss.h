/// How hard a text is to predict: the feature that quality curves are read at.
#pragma once

#include "limbeck/cache/layout.h"
#include "limbeck/model/model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace limbeck {

/// Mean token loss in nats, of the whole and of its pieces.
struct TextLoss {
  struct Piece {
    PositionRange range;
    double nll = 0;  ///< the whole's where no token of it was sampled
  };
  double nll = 0;
  std::vector<Piece> pieces;  ///< of 512 tokens, the last one shorter
};

/// Listens to the prefill of a text: every 8th position of the span predicts its next token.
class TextLossMeter {
 public:
  static constexpr int64_t kStride = 8, kPiece = 512;
  /// `tokens` from the cache's position `begin` on; both must outlive the meter. Throws
  /// InvalidArgument for a span that has fewer than two tokens or is not within the tokens.
  TextLossMeter(const Model& model, std::span<const int32_t> tokens, int64_t begin,
                PositionRange span);

  /// For PrefillOptions::on_hidden of a prefill of the tokens.
  PrefillHiddenFn listener();
  TextLoss result() const;

 private:
  void listen(int64_t first, const at::Tensor& hidden);

  const Model& model_;
  std::span<const int32_t> tokens_;
  int64_t begin_;
  PositionRange span_;
  std::vector<double> sums_;
  std::vector<int64_t> counts_;
};

}  // namespace limbeck
