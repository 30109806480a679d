#include "limbeck/compact/quality/guard.h"

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

struct Candidate {
  bool ranked;  ///< by the scores; else by those of the stage before
  float score;
  int32_t position;
  HeadContest* head;
  int64_t slot;
};

/// One set of heads that compete with each other.
void force_in_pool(std::span<HeadContest> pool, std::span<const PieceFloor> floors, double share) {
  int64_t budget = 0, forced = 0, heads = 0;
  for (const HeadContest& h : pool) {
    budget += h.budget;
    forced += h.forced_count();
    heads += h.size() > 0 ? 1 : 0;  // one that streams has nothing to choose from
  }
  int64_t open = static_cast<int64_t>(std::floor(share * static_cast<double>(budget))) - forced;
  for (const PieceFloor& floor : floors) {
    auto need = static_cast<int64_t>(
        std::floor(share * static_cast<double>(floor.slots) * static_cast<double>(heads)));
    std::vector<Candidate> candidates;
    for (HeadContest& h : pool)
      for (int64_t i = 0; i < h.size(); ++i) {
        if (!floor.range.contains(h.positions[i])) continue;
        if (h.forced[i] != 0)
          --need;
        else if (h.scores[i] != kNoCandidate)
          candidates.push_back({true, h.scores[i], h.positions[i], &h, i});
        else if (!h.earlier.empty() && h.earlier[i] != kNoCandidate)
          candidates.push_back({false, h.earlier[i], h.positions[i], &h, i});
      }
    const int64_t take =
        std::clamp<int64_t>(std::min(need, open), 0, static_cast<int64_t>(candidates.size()));
    std::partial_sort(candidates.begin(), candidates.begin() + take, candidates.end(),
                      [](const Candidate& a, const Candidate& b) {
                        if (a.ranked != b.ranked) return a.ranked;
                        return a.score != b.score ? a.score > b.score : a.position > b.position;
                      });
    for (int64_t k = 0; k < take; ++k) candidates[k].head->forced[candidates[k].slot] = 1;
    open -= take;
  }
}

/// Where the layer of heads[begin] ends.
size_t layer_end(std::span<const HeadContest> heads, size_t begin) {
  size_t end = begin;
  while (end < heads.size() && heads[end].layer == heads[begin].layer) ++end;
  return end;
}

/// Heads of several layers that hold the same tokens and are to keep the same ones: those with the
/// best sums over the heads of the first layer.
void force_alike(std::span<HeadContest> heads, std::span<const PieceFloor> floors, double share) {
  const std::span<HeadContest> first = heads.first(layer_end(heads, 0));
  for (const HeadContest& h : heads)  // otherwise the allocator says what is wrong
    if (!std::ranges::equal(h.positions, first[0].positions) || h.forced != first[0].forced) return;
  std::vector<float> sums(first[0].size(), 0.0F);
  for (int64_t i = 0; i < first[0].size(); ++i)
    for (const HeadContest& h : first) {
      sums[i] = h.scores[i] == kNoCandidate || sums[i] == kNoCandidate ? kNoCandidate
                                                                       : sums[i] + h.scores[i];
    }
  HeadContest together = first[0];
  together.scores = sums;
  force_in_pool({&together, 1}, floors, share);
  for (HeadContest& h : heads) h.forced = together.forced;
}

}  // namespace

QualityChoice choose_ratio(const QualityCurve& curve, const TextLoss& loss, double quality) {
  QualityChoice out;
  int64_t size = 0, floors = 0;
  for (const TextLoss::Piece& p : loss.pieces) size += p.range.size();
  if (quality >= 1.0) {
    out.slots = size;
    return out;
  }
  const auto slots_of = [&](double ratio, int64_t n) { return ratio * static_cast<double>(n); };
  for (const TextLoss::Piece& p : loss.pieces) {
    const auto n = static_cast<int64_t>(
        std::floor(slots_of(ratio_for(quality, curve.b(p.nll)), p.range.size())));
    out.floors.push_back({p.range, n});
    floors += n;
  }
  out.mean_ratio = ratio_for(quality, curve.b(loss.nll));
  const auto mean = static_cast<int64_t>(std::ceil(slots_of(out.mean_ratio, size)));
  out.slots = std::clamp<int64_t>(std::max(mean, floors), 1, size);
  out.ratio = static_cast<double>(out.slots) / static_cast<double>(size);
  out.predicted = quality_at(out.ratio, curve.b(loss.nll));
  return out;
}

void force_floors(std::span<HeadContest> heads, std::span<const PieceFloor> floors, double share,
                  Comparable together, int64_t shared_layers) {
  if (floors.empty()) return;
  for (size_t i = 0; i < heads.size();) {
    size_t end = i + 1;
    if (together == Comparable::model) end = heads.size();
    if (together == Comparable::layer || shared_layers > 0) end = layer_end(heads, i);
    for (int64_t more = 1; more < shared_layers && end < heads.size(); ++more)
      end = layer_end(heads, end);
    const std::span<HeadContest> pool = heads.subspan(i, end - i);
    if (shared_layers > 0)
      force_alike(pool, floors, share);
    else
      force_in_pool(pool, floors, share);
    i = end;
  }
}

}  // namespace limbeck
