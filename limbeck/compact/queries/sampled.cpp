#include "limbeck/compact/queries/sampled.h"

#include "limbeck/base/error.h"
#include "limbeck/model/sampling.h"

#include <ATen/ATen.h>

namespace limbeck {

ReferenceSuffix sampled_suffix(const Model& model, const KvCache& cache, PositionRange span,
                               int64_t tokens, double weight, int64_t seed) {
  if (cache.tokens().empty() || cache.logical_length() + tokens > model.spec().context_length)
    throw InvalidArgument(
        "[compact] {} sampled tokens do not fit behind {} in the model's window of {}", tokens,
        cache.logical_length(), model.spec().context_length);
  ReferenceSuffix out{{}, span, weight};
  // The last token of the text is read again: its prediction is what starts the continuation.
  KvCache copy = cache.clone();
  int32_t token = cache.tokens().back();
  SamplingOptions sampling;
  sampling.temperature = 0.8;
  sampling.seed = seed;
  for (int64_t i = 0; i < tokens; ++i) {
    const at::Tensor logits = model.forward(copy, {&token, 1}).logits.contiguous();
    token = sample_token({logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())},
                         sampling, {}, i);
    out.tokens.push_back(token);
  }
  return out;
}

}  // namespace limbeck
