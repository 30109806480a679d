#include "limbeck/base/error.h"
#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

struct ChunkOptions {
  int64_t group = 20;
  int64_t reuse = 1;
  template <class V>
  void for_each_field(V&& v) {
    v("group", group, closed(1, 1 << 20), "neighbouring tokens that are kept or dropped together");
    v("reuse", reuse, closed(1, 1 << 10), "so many layers in a row take the choice of the first");
  }
};

/// Neighbouring tokens share a score, the sum over the heads of a layer, mean over the group; every
/// head of the layer keeps the same tokens. Best groups while they fit, then the best tokens of the
/// next one (arXiv 2502.00299).
class ChunkAllocator : public Allocator {
 public:
  explicit ChunkAllocator(const ChunkOptions& o) : options_(o) {}
  /// Scores of a layer's heads are added.
  Comparable requires_comparable() const override { return Comparable::layer; }
  bool layer_by_layer() const override { return options_.reuse == 1; }
  int64_t shared_layers() const override { return options_.reuse; }

  Selection allocate(std::span<const HeadContest> heads, double share) const override {
    const auto layers = layer_ranges(heads);
    Selection out(heads.size());
    for (size_t l = 0; l < layers.size(); ++l) {
      const auto [begin, end] = layers[l];
      check_layer(heads.subspan(begin, end - begin));
      const size_t source = l - l % static_cast<size_t>(options_.reuse);
      std::vector<int32_t> kept;
      if (source == l) {
        kept = choose(heads.subspan(begin, end - begin), share);
      } else {
        if (!same_tokens(heads[begin], heads[layers[source].first]))
          throw InvalidArgument(
              "[chunk] layer {} cannot take the choice of layer {}; they hold different tokens",
              heads[begin].layer, heads[layers[source].first].layer);
        kept = out[layers[source].first];
      }
      for (size_t h = begin; h < end; ++h) out[h] = kept;
    }
    return out;
  }

 private:
  static bool same_tokens(const HeadContest& a, const HeadContest& b) {
    return a.budget == b.budget && a.forced == b.forced &&
           std::equal(a.positions.begin(), a.positions.end(), b.positions.begin(),
                      b.positions.end());
  }

  static void check_layer(std::span<const HeadContest> layer) {
    for (const HeadContest& h : layer)
      if (!same_tokens(h, layer[0]))
        throw InvalidArgument(
            "[chunk] every head of a layer must hold and protect the same tokens; layer {} heads "
            "{} "
            "and {} differ",
            h.layer, layer[0].head, h.head);
  }

  /// Ascending slots that every head of the layer keeps. Tokens that are kept already form no
  /// groups.
  std::vector<int32_t> choose(std::span<const HeadContest> layer, double share) const {
    const HeadContest& first = layer[0];
    std::vector<int32_t> kept, open;
    std::vector<double> score(first.size(), 0.0);
    for (int64_t i = 0; i < first.size(); ++i) {
      bool candidate = true;
      for (const HeadContest& h : layer) {
        candidate &= h.scores[i] != kNoCandidate;
        score[i] += h.scores[i];
      }
      if (first.forced[i] != 0)
        kept.push_back(static_cast<int32_t>(i));
      else if (candidate)
        open.push_back(static_cast<int32_t>(i));
    }
    int64_t room = std::min(open_budget(first, share), static_cast<int64_t>(open.size()));
    const auto count = static_cast<int64_t>(open.size());
    const int64_t groups = (count + options_.group - 1) / options_.group;
    const auto members = [&](int64_t g) {
      const int64_t begin = g * options_.group;
      return std::span<const int32_t>(open).subspan(begin, std::min(options_.group, count - begin));
    };
    std::vector<double> means(groups);
    for (int64_t g = 0; g < groups; ++g) {
      for (const int32_t slot : members(g)) means[g] += score[slot];
      means[g] /= static_cast<double>(members(g).size());
    }
    std::vector<int64_t> order(groups);
    std::iota(order.begin(), order.end(), 0);
    // Equal groups: the later one, as with single slots.
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return means[a] != means[b] ? means[a] > means[b] : a > b;
    });
    for (const int64_t g : order) {
      std::vector<int32_t> slots(members(g).begin(), members(g).end());
      if (static_cast<int64_t>(slots.size()) > room) {
        std::sort(slots.begin(), slots.end(), [&](int32_t a, int32_t b) {
          return score[a] != score[b] ? score[a] > score[b] : a > b;
        });
        slots.resize(room);
      }
      kept.insert(kept.end(), slots.begin(), slots.end());
      room -= static_cast<int64_t>(slots.size());
      if (room == 0) break;
    }
    std::sort(kept.begin(), kept.end());
    return kept;
  }

  ChunkOptions options_;
};

}  // namespace

std::unique_ptr<Allocator> make_chunk_allocator(const AllocatorOptions& options) {
  return std::make_unique<ChunkAllocator>(options_from_texts<ChunkOptions>("chunk", options));
}
std::vector<FieldInfo> describe_chunk_allocator() { return options_describe<ChunkOptions>(); }

}  // namespace limbeck
