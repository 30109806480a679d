#include "limbeck/compact/quality/text_loss.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>

namespace limbeck {

TextLossMeter::TextLossMeter(const Model& model, std::span<const int32_t> tokens, int64_t begin,
                             PositionRange span)
    : model_(model), tokens_(tokens), begin_(begin), span_(span) {
  const int64_t end = begin + static_cast<int64_t>(tokens.size());
  if (span.size() < 2 || span.begin < begin || span.end > end)
    throw InvalidArgument(
        "[quality] the loss of a text needs at least 2 tokens within [{}, {}); found [{}, {})",
        begin, end, span.begin, span.end);
  const auto pieces = static_cast<size_t>((span.size() + kPiece - 1) / kPiece);
  sums_.assign(pieces, 0.0);
  counts_.assign(pieces, 0);
}

PrefillHiddenFn TextLossMeter::listener() {
  return [this](int64_t first, const at::Tensor& hidden) { listen(first, hidden); };
}

void TextLossMeter::listen(int64_t first, const at::Tensor& hidden) {
  const c10::NoGradGuard guard;
  constexpr int64_t kBlock = 256;  // rows of logits held at once
  std::vector<int64_t> rows, targets;
  const auto score = [&] {
    if (rows.empty()) return;
    const at::Tensor log_p =
        at::log_softmax(model_.head_logits(hidden.index_select(0, at::tensor(rows, at::kLong))), 1);
    const at::Tensor loss =
        log_p.gather(1, at::tensor(targets, at::kLong).unsqueeze(1)).neg().contiguous();
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t piece = (begin_ + first + rows[i] - span_.begin) / kPiece;
      sums_[piece] += loss.const_data_ptr<float>()[i];
      ++counts_[piece];
    }
    rows.clear();
    targets.clear();
  };
  for (int64_t r = 0; r < hidden.size(0); ++r) {
    const int64_t at = begin_ + first + r;  // predicts the token at + 1
    if (at < span_.begin || at + 1 >= span_.end || (at - span_.begin) % kStride != 0) continue;
    rows.push_back(r);
    targets.push_back(tokens_[first + r + 1]);
    if (static_cast<int64_t>(rows.size()) == kBlock) score();
  }
  score();
}

TextLoss TextLossMeter::result() const {
  TextLoss out;
  const auto total = std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
  if (total == 0) throw InvalidArgument("[quality] the text was not read with this meter");
  out.nll = std::accumulate(sums_.begin(), sums_.end(), 0.0) / static_cast<double>(total);
  for (size_t i = 0; i < sums_.size(); ++i) {
    const int64_t begin = span_.begin + static_cast<int64_t>(i) * kPiece;
    out.pieces.push_back({{begin, std::min(begin + kPiece, span_.end)},
                          counts_[i] > 0 ? sums_[i] / static_cast<double>(counts_[i]) : out.nll});
  }
  return out;
}

}  // namespace limbeck
