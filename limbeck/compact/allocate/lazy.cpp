#include "limbeck/base/error.h"
#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace limbeck {
namespace {

struct LazyOptions {
  int64_t recent = 1024;
  int64_t sinks = 4;
  double threshold = 0.9;
  template <class V>
  void for_each_field(V&& v) {
    v("recent", recent, closed(0, 1 << 24), "newest tokens that a lazy layer keeps");
    v("sinks", sinks, closed(0, 1 << 20), "first tokens that a lazy layer keeps");
    v("threshold", threshold, closed(0.0, 1.0),
      "part of a layer's scores on first and newest tokens beyond which it is lazy");
  }
};

/// A layer is lazy when the last token gives its first and newest tokens almost all of its
/// attention; it keeps only these, other layers everything (SimLayerKV's rule, arXiv 2410.13846;
/// scores must be attention: tova, sage). The budget is an upper bound: when the others do not fit,
/// further layers become lazy, those of the highest part first, and at last all keep fewer of the
/// newest tokens.
class LazyAllocator : public Allocator {
 public:
  explicit LazyAllocator(const LazyOptions& o) : options_(o) {}
  Comparable requires_comparable() const override { return Comparable::none; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    const auto layers = layer_ranges(heads);
    const auto [oldest, newest] = first_and_newest(heads);
    const Window window{oldest + options_.sinks, newest - options_.recent};
    std::vector<double> part;
    for (const auto& [begin, end] : layers)
      part.push_back(on_window(heads.subspan(begin, end - begin), window));
    std::vector<size_t> order(layers.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return part[a] > part[b]; });
    size_t lazy = 0;
    while (lazy < order.size() && part[order[lazy]] > options_.threshold) ++lazy;
    const int64_t most = open_budget(heads, share);
    std::vector<HeadContest> taken = keep(heads, layers, order, lazy, window);
    while (open_slots(heads, taken) > most && lazy < order.size())
      taken = keep(heads, layers, order, ++lazy, window);
    // All are lazy and still too large: the newest tokens that fit, by halving.
    int64_t fits = -1, too_many = options_.recent;
    if (open_slots(heads, taken) <= most) return taken_slots(taken);
    while (too_many - fits > 1) {
      const int64_t recent = fits + (too_many - fits) / 2;
      taken = keep(heads, layers, order, lazy, {window.sinks_end, newest - recent});
      (open_slots(heads, taken) > most ? too_many : fits) = recent;
    }
    if (fits >= 0) {
      taken = keep(heads, layers, order, lazy, {window.sinks_end, newest - fits});
      return taken_slots(taken);
    }
    taken.assign(heads.begin(), heads.end());  // not even the first tokens
    take_best(taken, most);
    return taken_slots(taken);
  }

 private:
  /// Positions below `sinks_end` and above `recent_begin` are kept.
  struct Window {
    int64_t sinks_end = 0, recent_begin = 0;
    bool contains(int64_t p) const { return p < sinks_end || p > recent_begin; }
  };

  static std::pair<int64_t, int64_t> first_and_newest(std::span<const HeadContest> heads) {
    int64_t oldest = std::numeric_limits<int32_t>::max(), newest = -1;
    for (const HeadContest& h : heads)
      for (const int32_t p : h.positions) {
        oldest = std::min<int64_t>(oldest, p);
        newest = std::max<int64_t>(newest, p);
      }
    return {oldest, newest};
  }

  /// Mean over the heads that hold anything of the part of their scores inside the window.
  static double on_window(std::span<const HeadContest> layer, const Window& window) {
    double sum = 0;
    int64_t count = 0;
    for (const HeadContest& h : layer) {
      double all = 0, inside = 0;
      for (int64_t i = 0; i < h.size(); ++i) {
        if (h.scores[i] == kNoCandidate) continue;
        if (h.scores[i] < 0)
          throw InvalidArgument(
              "[lazy] scores must be attention, at least 0, as those of tova and sage; found {} in "
              "layer {} head {}",
              h.scores[i], h.layer, h.head);
        all += h.scores[i];
        if (window.contains(h.positions[i])) inside += h.scores[i];
      }
      if (all <= 0) continue;
      sum += inside / all;
      ++count;
    }
    return count > 0 ? sum / static_cast<double>(count) : 0.0;
  }

  static std::vector<HeadContest> keep(std::span<const HeadContest> heads,
                                       const std::vector<std::pair<size_t, size_t>>& layers,
                                       const std::vector<size_t>& order, size_t lazy,
                                       const Window& window) {
    std::vector<HeadContest> out(heads.begin(), heads.end());
    for (size_t rank = 0; rank < order.size(); ++rank) {
      const auto [begin, end] = layers[order[rank]];
      for (size_t h = begin; h < end; ++h)
        for (int64_t i = 0; i < out[h].size(); ++i)
          if (out[h].scores[i] != kNoCandidate &&
              (rank >= lazy || window.contains(out[h].positions[i])))
            out[h].forced[i] = 1;
    }
    return out;
  }

  /// Slots that `taken` keeps beyond what was forced before.
  static int64_t open_slots(std::span<const HeadContest> before,
                            std::span<const HeadContest> taken) {
    int64_t n = 0;
    for (size_t h = 0; h < before.size(); ++h)
      n += taken[h].forced_count() - before[h].forced_count();
    return n;
  }

  LazyOptions options_;
};

}  // namespace

std::unique_ptr<Allocator> make_lazy_allocator(const AllocatorOptions& options) {
  return std::make_unique<LazyAllocator>(options_from_texts<LazyOptions>("lazy", options));
}
std::vector<FieldInfo> describe_lazy_allocator() { return options_describe<LazyOptions>(); }

}  // namespace limbeck
