#include "limbeck/compact/selection.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {

int64_t kept_of_ratio(double ratio, int64_t n) {
  if (n <= 0) return 0;
  const auto kept = static_cast<int64_t>(std::floor(ratio * static_cast<double>(n) + 1e-9));
  return std::min(n, std::max<int64_t>(1, kept));
}

namespace {

/// Whole numbers that sum to what `targets` sum to, each one of its target's neighbours and at most
/// its cap, by largest remainder.
std::vector<int64_t> rounded_sums(std::span<const double> targets, std::span<const int64_t> caps) {
  std::vector<int64_t> out;
  std::vector<std::pair<double, size_t>> rest;
  const auto total =
      static_cast<int64_t>(std::llround(std::accumulate(targets.begin(), targets.end(), 0.0)));
  int64_t given = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    // Targets such as 3.9999999 are meant to be whole.
    out.push_back(static_cast<int64_t>(std::floor(targets[i] + 1e-9)));
    given += out.back();
    if (out[i] < caps[i])
      rest.emplace_back(std::round((targets[i] - static_cast<double>(out[i])) * 1e9), i);
  }
  std::stable_sort(rest.begin(), rest.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < rest.size() && given < total; ++i, ++given) ++out[rest[i].second];
  return out;
}

}  // namespace

int64_t share_of_budget(int64_t budget, double share) {
  if (share >= 1.0) return budget;
  return static_cast<int64_t>(std::floor(static_cast<double>(budget) * share + 1e-9));
}

std::vector<int64_t> share_budgets(int64_t total, std::span<const double> shares, int64_t floor,
                                   std::span<const int64_t> caps) {
  const size_t n = shares.size();
  std::vector<int64_t> out(n, 0);
  if (n == 0) return out;
  const int64_t least = std::min(floor, total / static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i) {
    out[i] = std::min(least, caps[i]);
    total -= out[i];
  }
  // Shares of what is left as real numbers, so that only the last step rounds. Each round either
  // shares out everything or fills at least one head.
  std::vector<double> target(out.begin(), out.end());
  std::vector<uint8_t> open(n);
  for (size_t i = 0; i < n; ++i) open[i] = out[i] < caps[i];
  auto left = static_cast<double>(total);
  while (left > 1e-9) {
    double sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < n; ++i)
      if (open[i] != 0) {
        sum += shares[i];
        ++count;
      }
    if (count == 0) break;
    const auto part = [&](size_t i) {
      return sum > 0 ? left * shares[i] / sum : left / static_cast<double>(count);
    };
    double filled = 0;
    bool full = false;
    for (size_t i = 0; i < n; ++i) {
      const auto cap = static_cast<double>(caps[i]);
      if (open[i] == 0 || static_cast<double>(out[i]) + part(i) < cap) continue;
      filled += cap - static_cast<double>(out[i]);
      target[i] = cap;
      open[i] = 2;  // closed when the round ends, so that all of it shares alike
      full = true;
    }
    if (!full) {
      for (size_t i = 0; i < n; ++i)
        if (open[i] != 0) target[i] = static_cast<double>(out[i]) + part(i);
      break;
    }
    for (uint8_t& o : open)
      if (o == 2) o = 0;
    left -= filled;
  }
  return rounded_sums(target, caps);
}

std::string_view comparable_name(Comparable c) {
  switch (c) {
    case Comparable::none: return "none";
    case Comparable::layer: return "layer";
    case Comparable::model: return "model";
  }
  return "?";
}

int64_t HeadContest::forced_count() const {
  return std::count(forced.begin(), forced.end(), uint8_t{1});
}

std::vector<int64_t> largest_remainder(int64_t total, std::span<const double> weights) {
  std::vector<int64_t> out(weights.size(), 0);
  if (weights.empty()) return out;
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const bool equal = !(sum > 0);
  if (equal) sum = static_cast<double>(weights.size());
  std::vector<std::pair<double, size_t>> rest;
  int64_t given = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double share = static_cast<double>(total) * (equal ? 1.0 : weights[i]) / sum;
    // Shares such as 3.9999999 are meant to be whole.
    out[i] = static_cast<int64_t>(std::floor(share + 1e-9));
    given += out[i];
    rest.emplace_back(share - static_cast<double>(out[i]), i);
  }
  std::stable_sort(rest.begin(), rest.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (size_t i = 0; given < total; i = (i + 1) % rest.size(), ++given) ++out[rest[i].second];
  return out;
}

std::vector<PositionRange> cut_span(PositionRange span, int64_t chunk) {
  std::vector<PositionRange> out;
  if (span.size() <= 0) return out;
  if (chunk <= 0) return {span};
  for (int64_t at = span.begin; at < span.end; at += chunk) {
    const int64_t end = std::min(span.end, at + chunk);
    if (!out.empty() && 2 * (end - at) < chunk) {
      out.back().end = end;
    } else {
      out.push_back({at, end});
    }
  }
  return out;
}

std::vector<int32_t> top_slots(const HeadContest& contest, int64_t keep) {
  std::vector<int32_t> kept, others;
  for (int64_t i = 0; i < contest.size(); ++i)
    if (contest.forced[i] != 0)
      kept.push_back(static_cast<int32_t>(i));
    else if (contest.scores[i] != kNoCandidate)
      others.push_back(static_cast<int32_t>(i));
  const int64_t room = std::clamp<int64_t>(keep - static_cast<int64_t>(kept.size()), 0,
                                           static_cast<int64_t>(others.size()));
  const auto better = [&](int32_t a, int32_t b) {
    if (contest.scores[a] != contest.scores[b]) return contest.scores[a] > contest.scores[b];
    if (contest.positions[a] != contest.positions[b])
      return contest.positions[a] > contest.positions[b];
    return a < b;
  };
  if (room < static_cast<int64_t>(others.size()))
    std::nth_element(others.begin(), others.begin() + room, others.end(), better);
  kept.insert(kept.end(), others.begin(), others.begin() + room);
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace limbeck
