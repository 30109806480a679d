#include "limbeck/eval/report/intervals.h"

#include "limbeck/base/random.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Random::below(n) with the same outputs, for many draws of one n: its division is done once.
class Below {
 public:
  explicit Below(uint64_t n) : n_(n), reject_((0 - n) % n) {}
  uint64_t operator()(Random& random) const {
    while (true) {
      const auto wide = static_cast<unsigned __int128>(random()) * n_;
      if (static_cast<uint64_t>(wide) >= reject_) return static_cast<uint64_t>(wide >> 64);
    }
  }

 private:
  uint64_t n_, reject_;
};

}  // namespace

double sorted_quantile(std::span<const double> ascending, double q) {
  if (ascending.empty()) return kNan;
  const double place = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(place);
  if (below + 1 >= ascending.size()) return ascending.back();
  const double part = place - static_cast<double>(below);
  return ascending[below] + part * (ascending[below + 1] - ascending[below]);
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double x : values) sum += x;
  return values.empty() ? kNan : sum / static_cast<double>(values.size());
}

ScoreInterval bootstrap_scores(std::span<const std::vector<double>> strata, std::string_view key) {
  bool enough = false;
  for (const auto& values : strata) {
    if (values.empty()) return {kNan, kNan};
    enough = enough || values.size() > 1;
  }
  if (!enough) return {kNan, kNan};
  Random random(fnv1a64(key));
  std::vector<double> means;
  means.reserve(kResamples);
  for (int64_t i = 0; i < kResamples; ++i) {
    double total = 0;
    for (const auto& values : strata) {
      const Below below(values.size());
      double sum = 0;
      for (size_t k = 0; k < values.size(); ++k) sum += values[below(random)];
      total += sum / static_cast<double>(values.size());
    }
    means.push_back(total / static_cast<double>(strata.size()));
  }
  std::sort(means.begin(), means.end());
  return {sorted_quantile(means, (1 - kConfidence) / 2),
          sorted_quantile(means, (1 + kConfidence) / 2)};
}

ScoreInterval bootstrap_scores(const std::vector<double>& values, std::string_view key) {
  return bootstrap_scores(std::span(&values, 1), key);
}

Robust robust_of(std::vector<double> values) {
  std::erase_if(values, [](double x) { return !std::isfinite(x); });
  if (values.empty()) return {kNan, kNan, kNan, 0};
  std::sort(values.begin(), values.end());
  Robust out{sorted_quantile(values, 0.5), 0, values.front(), static_cast<int64_t>(values.size())};
  for (double& x : values) x = std::abs(x - out.median);
  std::sort(values.begin(), values.end());
  out.mad = sorted_quantile(values, 0.5);
  return out;
}

}  // namespace limbeck
