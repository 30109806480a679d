/// How much each KV head's output matters to what the model says: the weights of water-filling.
///
/// a_h = mean over query positions of ||d log p(y) / d o_h||^2, y sampled from the model itself,
/// o_h the attention output before W_O, summed over the head's group: one backward pass over a
/// repeat of a text (docs/methods.md). A property of the model: measured once, without
/// labels.
#pragma once

#include "limbeck/compact/queries/repeat.h"
#include "limbeck/heads/head_table.h"

namespace limbeck {

struct HeadCalibrationOptions {
  int64_t seed = 0;
  int64_t tokens = 512;  ///< of each text (memory grows with its square)
  int64_t texts = 4;
  template <class V>
  void for_each_field(V&& v) {
    v("seed", seed, at_least(0), "seed of the sampled answers");
    v("texts", texts, at_least(1), "parts of the text that are used");
    v("tokens", tokens, at_least(8), "tokens of each part");
  }
};

/// `text` is cut into options.texts parts from equally spaced places; each is read behind `before`
/// (the chat frame) and then repeated after `repeat`. Throws InvalidArgument when the text is too
/// short or a part does not fit the window.
HeadTable calibrate_heads(const Model& model, std::span<const int32_t> before,
                          std::span<const int32_t> text, const RepeatPrompt& repeat,
                          const HeadCalibrationOptions& options, const ProgressFn& progress = {});

}  // namespace limbeck
