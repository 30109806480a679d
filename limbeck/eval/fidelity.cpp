#include "limbeck/eval/fidelity.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace limbeck {

at::Tensor scored_log_probs(const Model& model, KvCache& cache, std::span<const int32_t> prompt,
                            std::span<const int32_t> scored) {
  c10::NoGradGuard guard;
  std::vector<int32_t> fed(prompt.begin(), prompt.end());
  fed.insert(fed.end(), scored.begin(), scored.end());
  fed.pop_back();  // the last token predicts nothing that is scored
  if (scored.empty() || fed.empty())
    throw InvalidArgument(
        "[fidelity] need a scored token with something before it; found a prompt of {} and {} "
        "scored",
        prompt.size(), scored.size());
  const auto first = static_cast<int64_t>(prompt.empty() ? 0 : prompt.size() - 1);
  const KvCache::Mark mark = cache.mark();
  at::Tensor logits;
  try {
    // Predictions of the prompt are not needed: only its last row joins the scored rows.
    if (first > 0)
      prefill(model, cache, {fed.data(), static_cast<size_t>(first)},
              {512, {}, nullptr, LogitsWanted::none});
    PrefillOptions all;
    all.logits = LogitsWanted::all;
    logits = prefill(model, cache, std::span<const int32_t>(fed).subspan(first), all);
  } catch (...) {
    cache.rollback(mark);
    throw;
  }
  cache.rollback(mark);
  return at::log_softmax(logits, -1);
}

std::vector<double> row_divergences(const at::Tensor& full, const at::Tensor& other) {
  constexpr double kNoise = -1e-6;  // of f32 log-probabilities
  const at::Tensor p = full.to(at::kDouble), q = other.to(at::kDouble);
  // exp(-inf) * (-inf - x) is NaN where a probability underflows: those terms are 0.
  const at::Tensor terms = at::where(p.isinf(), at::zeros({}, p.options()), p.exp() * (p - q));
  const at::Tensor sums = terms.sum(-1).contiguous();
  std::vector<double> out(sums.const_data_ptr<double>(),
                          sums.const_data_ptr<double>() + sums.numel());
  for (double& kl : out) {
    if (!(kl >= kNoise))
      throw NumericalError("[eval] a divergence must not be below 0; found {}", kl);
    kl = std::max(kl, 0.0);
  }
  return out;
}

Fidelity compare_log_probs(const at::Tensor& full, const at::Tensor& other,
                           std::span<const int32_t> targets) {
  c10::NoGradGuard guard;
  LIMBECK_CHECK(
      full.sizes() == other.sizes() && full.size(0) == static_cast<int64_t>(targets.size()),
      "{} and {} rows for {} targets", full.size(0), other.size(0), targets.size());
  Fidelity f;
  f.tokens = full.size(0);
  for (const double kl : row_divergences(full, other)) f.kl += kl / static_cast<double>(f.tokens);
  f.top1 = full.argmax(-1).eq(other.argmax(-1)).to(at::kDouble).mean().item<double>();
  const at::Tensor index =
      at::tensor(std::vector<int64_t>(targets.begin(), targets.end()), at::kLong).unsqueeze(1);
  f.nll_full = -full.gather(1, index).to(at::kDouble).mean().item<double>();
  f.nll_other = -other.gather(1, index).to(at::kDouble).mean().item<double>();
  return f;
}

Fidelity compare_caches(const Model& model, KvCache& full, KvCache& other,
                        std::span<const int32_t> prompt, std::span<const int32_t> scored) {
  const at::Tensor a = scored_log_probs(model, full, prompt, scored);
  const at::Tensor b = scored_log_probs(model, other, prompt, scored);
  return compare_log_probs(a, b, scored.subspan(prompt.empty() ? 1 : 0));
}

Fidelity mean_fidelity(std::span<const Fidelity> parts) {
  Fidelity sum;
  for (const Fidelity& p : parts) {
    const auto n = static_cast<double>(p.tokens);
    sum.kl += n * p.kl;
    sum.top1 += n * p.top1;
    sum.nll_full += n * p.nll_full;
    sum.nll_other += n * p.nll_other;
    sum.tokens += p.tokens;
  }
  if (sum.tokens == 0) return sum;
  const auto n = static_cast<double>(sum.tokens);
  sum.kl /= n;
  sum.top1 /= n;
  sum.nll_full /= n;
  sum.nll_other /= n;
  return sum;
}

}  // namespace limbeck
