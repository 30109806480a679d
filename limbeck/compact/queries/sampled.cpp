#include "limbeck/compact/queries/sampled.h"

#include "limbeck/base/error.h"
#include "limbeck/model/sampling.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

/// Whether the newest token can be taken out of the cache again.
bool gives_back_last(const KvCache& cache) {
  bool kept = cache.tail_begin() < cache.logical_length();
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
    kept = kept && cache.layer(l).kind.type == LayerKind::Type::full &&
           !cache.layer(l).stream.active();
  return kept;
}

}  // namespace

ReferenceSuffix sampled_suffix(const Model& model, const KvCache& cache, PositionRange span,
                               int64_t tokens, double weight, int64_t seed) {
  if (!(weight > 0.0))
    throw InvalidArgument("[compact] rows of sampled tokens need a weight above 0; found {}",
                          weight);
  if (cache.tokens().empty() || cache.logical_length() + tokens > model.spec().context_length)
    throw InvalidArgument(
        "[compact] {} sampled tokens do not fit behind {} in the model's window of {}", tokens,
        cache.logical_length(), model.spec().context_length);
  ReferenceSuffix out{{}, span, weight};
  // The last token is read again, since its prediction starts the continuation: in its own place
  // where the cache can forget it, else behind itself.
  KvCache copy = cache.clone();
  if (gives_back_last(copy)) copy.truncate(copy.logical_length() - 1);
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
