#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

struct ThresholdOptions {
  int64_t recent = 128;
  double threshold = 0.0;
  template <class V>
  void for_each_field(V&& v) {
    v("recent", recent, closed(0, 1 << 20), "newest tokens that need no score");
    v("threshold", threshold, any_number(), "least score that is kept");
  }
};

/// Keeps what scores at least the threshold or is among the newest tokens. The budget is an upper
/// bound: the best of the model when more qualifies.
class ThresholdAllocator : public Allocator {
 public:
  explicit ThresholdAllocator(const ThresholdOptions& o) : options_(o) {}
  /// One threshold for the whole model is a ranking over the model.
  Comparable requires_comparable() const override { return Comparable::model; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    int32_t newest = -1;
    for (const HeadContest& h : heads)
      for (const int32_t p : h.positions) newest = std::max(newest, p);
    std::vector<std::vector<float>> scores;
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    for (HeadContest& h : taken) {
      scores.emplace_back(h.scores.begin(), h.scores.end());
      for (int64_t i = 0; i < h.size(); ++i) {
        const bool recent = h.positions[i] > newest - options_.recent;
        if (!recent && static_cast<double>(h.scores[i]) < options_.threshold)
          scores.back()[i] = kNoCandidate;
      }
      h.scores = scores.back();
    }
    take_best(taken, open_budget(heads, share));
    return taken_slots(taken);
  }

 private:
  ThresholdOptions options_;
};

struct NormStopOptions {
  double epsilon = 0.01;
  template <class V>
  void for_each_field(V&& v) {
    v("epsilon", epsilon, closed(0.0, 1.0), "part of the scores' 2-norm that may be lost");
  }
};

/// Each head keeps the shortest prefix of its ranking whose 2-norm is that of all scores but for a
/// part epsilon; its budget is an upper bound (after arXiv 2502.16886, for any scorer).
class NormStopAllocator : public Allocator {
 public:
  explicit NormStopAllocator(const NormStopOptions& o) : options_(o) {}
  Comparable requires_comparable() const override { return Comparable::none; }
  bool layer_by_layer() const override { return true; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    for (HeadContest& h : taken)
      take_best({&h, 1}, std::min(prefix(h) - h.forced_count(), open_budget(h, share)));
    return taken_slots(taken);
  }

 private:
  /// Slots of the prefix, forced ones first.
  int64_t prefix(const HeadContest& h) const {
    std::vector<double> open;
    double all = 0, kept = 0;
    for (int64_t i = 0; i < h.size(); ++i) {
      const double square =
          h.scores[i] == kNoCandidate ? 0.0 : static_cast<double>(h.scores[i]) * h.scores[i];
      all += square;
      if (h.forced[i] != 0)
        kept += square;
      else if (h.scores[i] != kNoCandidate)
        open.push_back(h.scores[i]);
    }
    std::sort(open.begin(), open.end(), std::greater<>());
    const double enough = (1.0 - options_.epsilon) * std::sqrt(all);
    int64_t n = 0;
    while (n < static_cast<int64_t>(open.size()) && std::sqrt(kept) < enough) {
      kept += open[n] * open[n];
      ++n;
    }
    return h.forced_count() + n;
  }

  NormStopOptions options_;
};

}  // namespace

std::unique_ptr<Allocator> make_threshold_allocator(const AllocatorOptions& options) {
  return std::make_unique<ThresholdAllocator>(
      options_from_texts<ThresholdOptions>("threshold", options));
}
std::unique_ptr<Allocator> make_norm_stop_allocator(const AllocatorOptions& options) {
  return std::make_unique<NormStopAllocator>(
      options_from_texts<NormStopOptions>("norm-stop", options));
}
std::vector<FieldInfo> describe_threshold_allocator() {
  return options_describe<ThresholdOptions>();
}
std::vector<FieldInfo> describe_norm_stop_allocator() {
  return options_describe<NormStopOptions>();
}

}  // namespace limbeck
