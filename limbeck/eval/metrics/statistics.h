/// Numbers about samples: quantiles, and intervals by resampling documents.
///
/// Goals: the same seed gives the same interval on every machine. Non-goals: tests of hypotheses,
/// corrections for many comparisons.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace limbeck {

/// Value at position q (n - 1) of the sorted sample, linear between neighbours. Throws
/// InvalidArgument for an empty sample, q outside [0, 1], or a value that is NaN.
double quantile(std::span<const double> values, double q);
/// Throws InvalidArgument for an empty sample.
double mean(std::span<const double> values);
double median(std::span<const double> values);
/// Median distance from the median, unscaled.
double median_absolute_deviation(std::span<const double> values);

struct BootstrapOptions {
  double confidence = 0.95;  ///< in (0, 1)
  int64_t resamples = 2000;  ///< at least 1
  uint64_t seed = 42;
};

struct Interval {
  double value = 0;  ///< of the sample itself
  double low = 0, high = 0;
};

/// Scores of one document's questions.
using DocumentScores = std::vector<double>;

/// Percentile interval of the mean over documents; a document counts as the mean of its questions,
/// however many it has. Throws InvalidArgument without documents, for one without questions, and
/// for options out of range.
Interval bootstrap_mean(std::span<const DocumentScores> documents,
                        const BootstrapOptions& options = {});

/// The same for the mean of a - b, where a[i] and b[i] are two systems' scores of document i: both
/// are drawn together. Throws InvalidArgument as well when the numbers of documents differ.
Interval bootstrap_difference(std::span<const DocumentScores> a, std::span<const DocumentScores> b,
                              const BootstrapOptions& options = {});

}  // namespace limbeck
