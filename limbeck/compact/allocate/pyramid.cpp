#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limbeck {
namespace {

struct PyramidOptions {
  int64_t beta = 20;
  std::string compat = "exact";
  template <class V>
  void for_each_field(V&& v) {
    v("beta", beta, closed(2, 1000), "a head of the last layer keeps 1 / beta of the mean");
    v("compat", compat, one_of({"exact", "int"}),
      "int: counts as published, cut to whole numbers, whose sum is not exact");
  }
};

/// Open slots per head of layer l, falling evenly from `most` to `least` (arXiv 2406.02069), about
/// `mean` on the average and at most `cap`.
struct Slope {
  double most = 0, least = 0;
  Slope(double mean, double cap, double beta) {
    least = mean / beta;
    most = 2 * mean - least;
    if (most > cap) {
      most = cap;
      least = 2 * mean - most;
    }
  }
  double at(int64_t l, int64_t layers) const {
    return layers == 1
               ? (most + least) / 2
               : most - static_cast<double>(l) * (most - least) / static_cast<double>(layers - 1);
  }
};

class PyramidAllocator : public Allocator {
 public:
  explicit PyramidAllocator(const PyramidOptions& o) : options_(o) {}
  Comparable requires_comparable() const override { return Comparable::none; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    std::vector<HeadContest> taken(heads.begin(), heads.end());
    const std::vector<int64_t> open =
        options_.compat == "int" ? published_counts(heads, share) : exact_counts(heads, share);
    for (size_t h = 0; h < taken.size(); ++h) take_best({&taken[h], 1}, open[h]);
    return taken_slots(taken);
  }

 private:
  static int64_t candidates(const HeadContest& h) {
    int64_t n = 0;
    for (int64_t i = 0; i < h.size(); ++i) n += h.forced[i] == 0 && h.scores[i] != kNoCandidate;
    return n;
  }

  /// Whole numbers that sum to the open budget, unless every candidate is taken. Layers share by
  /// largest remainder, then the heads of each evenly; what a head cannot hold goes to the others.
  std::vector<int64_t> exact_counts(std::span<const HeadContest> heads, double share) const {
    const auto layers = layer_ranges(heads);
    std::vector<int64_t> caps;
    for (const HeadContest& h : heads) caps.push_back(candidates(h));
    const auto count = static_cast<double>(heads.size());
    const int64_t total = open_budget(heads, share);
    const double mean = static_cast<double>(total) / count;
    const double cap =
        static_cast<double>(std::accumulate(caps.begin(), caps.end(), int64_t{0})) / count;
    const Slope slope(mean, cap, static_cast<double>(options_.beta));
    std::vector<double> targets;
    for (size_t l = 0; l < layers.size(); ++l)
      targets.push_back(slope.at(static_cast<int64_t>(l), static_cast<int64_t>(layers.size())));
    // With equally many heads in every layer a whole number of slots a head is shared out first.
    const int64_t per_layer = static_cast<int64_t>(heads.size() / layers.size());
    const std::vector<int64_t> each = largest_remainder(total / per_layer, targets);
    std::vector<int64_t> out(heads.size(), 0);
    int64_t left = total;
    for (size_t l = 0; l < layers.size(); ++l)
      for (size_t h = layers[l].first; h < layers[l].second; ++h) {
        out[h] = std::min({each[l], caps[h], left});
        left -= out[h];
      }
    std::vector<int64_t> room(heads.size());
    for (size_t h = 0; h < heads.size(); ++h) room[h] = caps[h] - out[h];
    const std::vector<int64_t> more =
        share_budgets(left, std::vector<double>(heads.size(), 1.0), 0, room);
    for (size_t h = 0; h < heads.size(); ++h) out[h] += more[h];
    return out;
  }

  std::vector<int64_t> published_counts(std::span<const HeadContest> heads, double share) const {
    const auto layers = layer_ranges(heads);
    const auto steps = std::max<int64_t>(1, static_cast<int64_t>(layers.size()) - 1);
    std::vector<int64_t> out(heads.size());
    for (size_t l = 0; l < layers.size(); ++l)
      for (size_t h = layers[l].first; h < layers[l].second; ++h) {
        const int64_t open = open_budget(heads[h], share), cap = candidates(heads[h]);
        int64_t least = open / options_.beta, most = 2 * open - least;
        if (most > cap) {
          most = cap;
          least = 2 * open - most;
        }
        const int64_t step = (most - least) / steps;
        out[h] = heads[h].size() < 2 * open ? open : most - static_cast<int64_t>(l) * step;
      }
    return out;
  }

  PyramidOptions options_;
};

}  // namespace

std::unique_ptr<Allocator> make_pyramid_allocator(const AllocatorOptions& options) {
  return std::make_unique<PyramidAllocator>(options_from_texts<PyramidOptions>("pyramid", options));
}
std::vector<FieldInfo> describe_pyramid_allocator() { return options_describe<PyramidOptions>(); }

}  // namespace limbeck
