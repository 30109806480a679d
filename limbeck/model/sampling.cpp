#include "limbeck/model/sampling.h"

#include "limbeck/base/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace limbeck {
namespace {

struct Candidate {
  float logit;
  int32_t id;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

std::vector<Candidate> finite_candidates(std::span<const float> logits, const SamplingOptions& o,
                                         std::span<const int32_t> seen,
                                         std::span<const int32_t> forbidden) {
  std::vector<float> adjusted(logits.begin(), logits.end());
  if (o.repetition_penalty != 1.0) {
    const auto penalty = static_cast<float>(o.repetition_penalty);
    for (int32_t id : seen) {
      if (id < 0 || id >= static_cast<int64_t>(adjusted.size())) continue;
      const float x = logits[id];  // of the original: a token seen twice is not punished twice
      adjusted[id] = x > 0 ? x / penalty : x * penalty;
    }
  }
  for (int32_t id : forbidden)
    if (id >= 0 && id < static_cast<int64_t>(adjusted.size())) adjusted[id] = -INFINITY;
  std::vector<Candidate> out;
  out.reserve(adjusted.size());
  for (size_t id = 0; id < adjusted.size(); ++id)
    if (std::isfinite(adjusted[id])) out.push_back({adjusted[id], static_cast<int32_t>(id)});
  return out;
}

}  // namespace

int32_t sample_token(std::span<const float> logits, const SamplingOptions& o,
                     std::span<const int32_t> seen, int64_t step,
                     std::span<const int32_t> forbidden) {
  std::vector<Candidate> c = finite_candidates(logits, o, seen, forbidden);
  if (c.empty()) throw NumericalError("[sample] no finite logit at step {}", step);
  if (o.temperature == 0.0) return std::min_element(c.begin(), c.end(), likelier)->id;

  if (o.top_k > 0 && o.top_k < static_cast<int64_t>(c.size())) {
    std::nth_element(c.begin(), c.begin() + (o.top_k - 1), c.end(), likelier);
    c.resize(o.top_k);
  }
  std::sort(c.begin(), c.end(), likelier);
  std::vector<double> p(c.size());
  double total = 0;
  for (size_t i = 0; i < c.size(); ++i)
    total += p[i] = std::exp((static_cast<double>(c[i].logit) - c[0].logit) / o.temperature);

  size_t kept = c.size();
  if (o.top_p < 1.0) {
    double sum = 0;
    for (kept = 0; kept < c.size() && sum < o.top_p * total; ++kept) sum += p[kept];
    kept = std::max<size_t>(kept, 1);
  }
  if (o.min_p > 0.0)
    while (kept > 1 && p[kept - 1] < o.min_p * p[0]) --kept;

  total = 0;
  for (size_t i = 0; i < kept; ++i) total += p[i];
  const double target =
      unit_double(splitmix64_at(static_cast<uint64_t>(o.seed), static_cast<uint64_t>(step))) *
      total;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i)
    if ((sum += p[i]) > target) return c[i].id;
  return c[kept - 1].id;
}

}  // namespace limbeck
