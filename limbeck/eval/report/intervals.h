/// Percentile bootstrap over documents.
///
/// Goals: the same interval on every machine and for every order of the rows; questions of one
/// document, which share its compaction, count as one draw. Non-goals: corrections for bias or for
/// many comparisons.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace limbeck {

/// Bounds of the middle 95 %; NaN when fewer than two documents say anything.
struct ScoreInterval {
  double low = 0, high = 0;
  bool excludes(double x) const { return x < low || x > high; }  ///< false for NaN
};

inline constexpr int64_t kResamples = 2000;
inline constexpr double kConfidence = 0.95;
/// With fewer documents than this, all differences have one sign by chance in more than 5 % of
/// cases (2 / 2^5), whatever the bootstrap says; such a difference is never called significant.
inline constexpr int64_t kFewestForSignificance = 6;

/// Quantile q in [0, 1] of ascending values: position q (n - 1), linear between neighbours. NaN for
/// none.
double sorted_quantile(std::span<const double> ascending, double q);

/// ScoreInterval of the mean over strata (tasks) of the means of their values (one a document):
/// each stratum is resampled by itself. `key` names what is measured and seeds the draws; values
/// come in an order of their own (by document), not in that of a file. NaN bounds when a stratum is
/// empty or all have at most one value.
ScoreInterval bootstrap_scores(std::span<const std::vector<double>> strata, std::string_view key);
/// Of a single stratum.
ScoreInterval bootstrap_scores(const std::vector<double>& values, std::string_view key);

/// NaN for none.
double mean_of(std::span<const double> values);

/// Robust description of seconds; all NaN for none.
struct Robust {
  double median = 0;
  double mad = 0;  ///< median absolute deviation from the median, unscaled
  double min = 0;
  int64_t count = 0;
};
/// Values that are not finite are left out.
Robust robust_of(std::vector<double> values);

}  // namespace limbeck
