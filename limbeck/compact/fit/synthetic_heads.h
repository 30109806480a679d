/// Heads with the statistics of real ones, for tests: topics of unequal popularity, a shared mean
/// key, peaked and diffuse queries.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/compact/fit/features.h"

#include <ATen/ATen.h>

#include <cmath>

namespace limbeck::test {

inline at::Tensor normal(std::vector<int64_t> shape, Random& random) {
  at::Tensor t = at::empty(shape, at::kFloat);
  float* p = t.mutable_data_ptr<float>();
  for (int64_t i = 0; i < t.numel(); ++i) p[i] = static_cast<float>(random.normal());
  return t;
}

/// Training and test queries of one head; keys and values in both problems.
struct SyntheticHead {
  HeadProblem train, test;
};

inline SyntheticHead synthetic_head(uint64_t seed, double sharpness, int64_t slots, int64_t train,
                                    int64_t test, int64_t dim = 64) {
  Random random(seed);
  constexpr int64_t kTopics = 96;
  const at::Tensor u = normal({1, dim}, random), centres = normal({kTopics, dim}, random),
                   value_centres = normal({kTopics, dim}, random);
  std::vector<double> cumulative;
  double sum = 0;
  for (int64_t a = 0; a < kTopics; ++a)
    cumulative.push_back(sum += std::exp(1.2 * random.normal()));
  const auto topics = [&](int64_t n) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < n; ++i) {
      const double x = random.uniform() * sum;
      out.push_back(std::lower_bound(cumulative.begin(), cumulative.end(), x) - cumulative.begin());
    }
    return at::tensor(out, at::kLong);
  };
  const at::Tensor topic = topics(slots);
  const at::Tensor keys =
      (1.5 * u + 1.6 * centres.index_select(0, topic) + 0.9 * normal({slots, dim}, random))
          .to(at::kBFloat16)
          .to(at::kFloat);
  const at::Tensor values =
      (value_centres.index_select(0, topic) + 0.5 * u + 0.7 * normal({slots, dim}, random))
          .to(at::kBFloat16)
          .to(at::kFloat);
  const auto queries = [&](int64_t n) {
    const double h = sharpness;
    at::Tensor first = at::empty({n, 1}, at::kFloat), second = at::empty({n, 1}, at::kFloat),
               exact = at::empty({n, 1}, at::kFloat);
    std::vector<int64_t> target;
    for (int64_t i = 0; i < n; ++i) {
      const double g = random.uniform() < 0.25 ? 0.25 : 1.0;
      first[i][0] = g * 1.3 * h * (0.8 + 0.5 * std::abs(random.normal()));
      second[i][0] = g * 0.5 * h * std::abs(random.normal());
      exact[i][0] = random.uniform() < 1.0 / 3 ? 0.6 * h : 0.0;
      target.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(slots))));
    }
    const at::Tensor a = centres.index_select(0, topics(n)), b = centres.index_select(0, topics(n));
    return (first * a + second * b + exact * keys.index_select(0, at::tensor(target, at::kLong)) +
            0.8 * normal({n, dim}, random) + 0.4 * u)
        .to(at::kBFloat16)
        .to(at::kFloat);
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  SyntheticHead out;
  out.train = {queries(train), {}, keys, values, {}, scale, {}, {}};
  out.test = {queries(test), {}, keys, values, {}, scale, {}, {}};
  return out;
}

/// Errors of a compact head on some queries.
struct HeadErrors {
  double output, mass;  ///< rms relative output error, rms log-mass error
};
inline HeadErrors head_errors(const HeadProblem& p, const std::vector<int32_t>& kept,
                              const at::Tensor& bias, const at::Tensor& values) {
  const Features all = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
  const at::Tensor index = at::tensor(std::vector<int64_t>(kept.begin(), kept.end()), at::kLong);
  const Features part =
      softmax_features(attention_logits(p.queries, p.keys.index_select(0, index), bias, p.scale));
  const at::Tensor y = at::mm(all.a, p.values), z = at::mm(part.a, values);
  return {std::sqrt((y - z).square().sum().item<double>() / y.square().sum().item<double>()),
          std::sqrt((part.lse - all.lse).square().mean().item<double>())};
}

}  // namespace limbeck::test
