/// Choosing the next token from logits.
///
/// Order: repetition penalty, min_tokens (no EOS yet), temperature, top_k, top_p, min_p, draw. The
/// draw depends on (seed, step) alone, so batch mates do not matter. Non-goals: beams.
#pragma once

#include "limbeck/base/options.h"

#include <cstdint>
#include <span>

namespace limbeck {

struct SamplingOptions {
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  int64_t seed = 0;
  double temperature = 0.0;
  int64_t top_k = 0;
  double top_p = 1.0;

  template <class V>
  void for_each_field(V&& v) {
    v("min_p", min_p, closed(0.0, 1.0),
      "drop tokens below this share of the likeliest one's probability");
    v("repetition_penalty", repetition_penalty, open_closed(0.0, 100.0),
      "divide positive and multiply negative logits of tokens already seen");
    v("seed", seed, at_least(0), "random seed; equal seeds give equal texts");
    v("temperature", temperature, closed(0.0, 100.0), "0 = always the likeliest token");
    v("top_k", top_k, at_least(0), "keep the k likeliest tokens; 0 = all");
    v("top_p", top_p, open_closed(0.0, 1.0),
      "keep the likeliest tokens that together reach this probability");
  }
};

/// Picks a token id. `logits` [vocabulary] f32; `seen` the ids that the repetition penalty looks
/// at; `step` counts the tokens generated so far; ids in `forbidden` are never chosen. Greedy ties
/// go to the lowest id. Throws NumericalError `[sample] no finite logit at step 12`.
int32_t sample_token(std::span<const float> logits, const SamplingOptions& options,
                     std::span<const int32_t> seen, int64_t step,
                     std::span<const int32_t> forbidden = {});

}  // namespace limbeck
