#include "limbeck/eval/metrics/statistics.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

void check_sample(std::span<const double> values) {
  if (values.empty()) throw InvalidArgument("[statistics] need a value; found none");
}

double sorted_quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const double rest = position - static_cast<double>(below);
  // Without a rest the neighbour is not read: there may be none, or an infinite one.
  return rest == 0 ? sorted[below] : sorted[below] + rest * (sorted[below + 1] - sorted[below]);
}

std::vector<double> document_means(std::span<const DocumentScores> documents) {
  if (documents.empty()) throw InvalidArgument("[bootstrap] need a document; found none");
  std::vector<double> out;
  out.reserve(documents.size());
  for (const DocumentScores& scores : documents) {
    if (scores.empty())
      throw InvalidArgument("[bootstrap] every document needs a score; found none for number {}",
                            out.size());
    out.push_back(mean(scores));
  }
  return out;
}

Interval interval_of_mean(std::span<const double> values, const BootstrapOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1) || options.resamples < 1)
    throw InvalidArgument(
        "[bootstrap] confidence must be in (0, 1) and resamples at least 1; found {} and {}",
        options.confidence, options.resamples);
  Random random(options.seed);
  std::vector<double> means(static_cast<size_t>(options.resamples));
  for (double& resampled : means) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    resampled = sum / static_cast<double>(values.size());
  }
  const double tail = (1 - options.confidence) / 2;
  return {mean(values), quantile(means, tail), quantile(means, 1 - tail)};
}

}  // namespace

double quantile(std::span<const double> values, double q) {
  check_sample(values);
  if (!(q >= 0 && q <= 1)) throw InvalidArgument("[quantile] q must be in [0, 1]; found {}", q);
  if (std::any_of(values.begin(), values.end(), [](double x) { return std::isnan(x); }))
    throw InvalidArgument("[quantile] values must be numbers; found NaN");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted_quantile(sorted, q);
}

double mean(std::span<const double> values) {
  check_sample(values);
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::span<const double> values) { return quantile(values, 0.5); }

double median_absolute_deviation(std::span<const double> values) {
  const double middle = median(values);
  std::vector<double> distances(values.begin(), values.end());
  for (double& x : distances) x = std::abs(x - middle);
  return median(distances);
}

Interval bootstrap_mean(std::span<const DocumentScores> documents,
                        const BootstrapOptions& options) {
  return interval_of_mean(document_means(documents), options);
}

Interval bootstrap_difference(std::span<const DocumentScores> a, std::span<const DocumentScores> b,
                              const BootstrapOptions& options) {
  if (a.size() != b.size())
    throw InvalidArgument("[bootstrap] both systems need the same documents; found {} and {}",
                          a.size(), b.size());
  std::vector<double> differences = document_means(a);
  const std::vector<double> others = document_means(b);
  for (size_t i = 0; i < others.size(); ++i) differences[i] -= others[i];
  return interval_of_mean(differences, options);
}

}  // namespace limbeck
