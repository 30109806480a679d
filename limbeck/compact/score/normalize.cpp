#include "limbeck/compact/score/normalize.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

void zscore(std::span<float> x) {
  const double n = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double square = 0;
  for (float v : x) square += (v - mean) * (v - mean);
  const double deviation = std::max(std::sqrt(square / n), 1e-6);
  for (float& v : x) v = static_cast<float>((v - mean) / deviation);
}

void rank(std::span<float> x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  std::vector<float> out(x.size());
  for (size_t i = 0; i < order.size(); ++i)
    out[order[i]] = static_cast<float>(i) / static_cast<float>(x.size());
  std::copy(out.begin(), out.end(), x.begin());
}

void share(std::span<float> x) {
  double sum = 0;
  for (float v : x) {
    if (v < 0)
      throw InvalidArgument("[compact] normalize share needs scores of at least 0; found {}", v);
    sum += v;
  }
  if (sum > 0)
    for (float& v : x) v = static_cast<float>(v / sum);
}

/// Slots without candidacy are no part of any statistic and stay what they are.
void of_candidates(std::span<float> head, void (*change)(std::span<float>)) {
  std::vector<float> scores;
  for (const float v : head)
    if (v != kNoCandidate) scores.push_back(v);
  if (scores.empty()) return;
  change(scores);
  auto next = scores.begin();
  for (float& v : head)
    if (v != kNoCandidate) v = *next++;
}

}  // namespace

void check_normalization_name(std::string_view name) {
  if (!name.empty() && name != "zscore" && name != "rank" && name != "share")
    throw InvalidArgument("[compact] normalize must be zscore, rank or share; found \"{}\"", name);
}

void normalize_scores(std::string_view name, std::span<float> scores,
                      std::span<const int64_t> offsets) {
  check_normalization_name(name);
  for (size_t h = 0; h + 1 < offsets.size(); ++h) {
    const auto head = scores.subspan(offsets[h], offsets[h + 1] - offsets[h]);
    if (name == "zscore") of_candidates(head, zscore);
    if (name == "rank") of_candidates(head, rank);
    if (name == "share") of_candidates(head, share);
  }
}

}  // namespace limbeck
