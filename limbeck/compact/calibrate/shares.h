/// Budget shares of the heads: what water-filling over held errors gives them, a mean over texts.
///
/// For methods that choose within heads (allocator `table`), as the published Attention Matching
/// does with the schedules of its authors (arXiv 2602.16284, section 3).
#pragma once

#include "limbeck/compact/compact.h"

namespace limbeck {

struct ShareCalibrationOptions {
  std::string method = "wpc";
  double ratio = 0.1;
  int64_t tokens = 1024;  ///< of each text
  int64_t texts = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("method", method, any_text(), "method whose slots per head are the shares");
    v("ratio", ratio, open_closed(0.0, 1.0), "part of the entries that it keeps");
    v("texts", texts, at_least(1), "parts of the text that are used");
    v("tokens", tokens, at_least(8), "tokens of each part");
  }
};

/// `text` is cut as for calibrate_heads(); each part is read behind `before` and compacted with
/// `head_weights` (may be empty). Throws InvalidArgument when the text is too short, and what
/// compact() throws.
HeadTable calibrate_shares(const Model& model, std::span<const int32_t> before,
                           std::span<const int32_t> text, const RepeatPrompt& repeat,
                           const HeadTable& head_weights, const ShareCalibrationOptions& options,
                           const ProgressFn& progress = {});

}  // namespace limbeck
