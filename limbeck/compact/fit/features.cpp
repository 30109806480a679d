#include "limbeck/compact/fit/features.h"

#include <ATen/ATen.h>

namespace limbeck {

at::Tensor attention_logits(const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& bias, double scale) {
  at::Tensor s = at::mm(queries, keys.t()).mul_(scale);
  if (bias.defined()) s.add_(bias);
  return s;
}

Features softmax_features(at::Tensor logits) {
  const at::Tensor top = std::get<0>(logits.max(1, true)).nan_to_num(0.0, 0.0, 0.0);
  logits.sub_(top).exp_();
  at::Tensor mass = logits.sum(1, true);
  logits.div_(mass.clamp_min(1e-38));
  return {logits, (mass.log() + top).squeeze(1)};
}

}  // namespace limbeck
