#include "limbeck/compact/allocate/ranked.h"

#include <algorithm>

namespace limbeck {

int64_t open_budget(const HeadContest& head, double share) {
  return open_budget({&head, 1}, share);
}

int64_t open_budget(std::span<const HeadContest> heads, double share) {
  int64_t budget = 0, forced = 0;
  for (const HeadContest& h : heads) {
    budget += std::min(h.budget, h.size());
    forced += h.forced_count();
  }
  return std::max<int64_t>(0, share_of_budget(budget, share) - forced);
}

std::vector<std::pair<size_t, size_t>> layer_ranges(std::span<const HeadContest> heads) {
  std::vector<std::pair<size_t, size_t>> out;
  for (size_t h = 0; h < heads.size(); ++h) {
    if (h == 0 || heads[h].layer != heads[h - 1].layer) out.emplace_back(h, h);
    out.back().second = h + 1;
  }
  return out;
}

void take_best(std::span<HeadContest> heads, int64_t room) {
  struct Slot {
    float score;
    int32_t position, head, slot;
  };
  std::vector<Slot> open;
  for (size_t h = 0; h < heads.size(); ++h)
    for (int64_t i = 0; i < heads[h].size(); ++i)
      if (heads[h].forced[i] == 0 && heads[h].scores[i] != kNoCandidate)
        open.push_back({heads[h].scores[i], heads[h].positions[i], static_cast<int32_t>(h),
                        static_cast<int32_t>(i)});
  const auto better = [&](const Slot& a, const Slot& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.position != b.position) return a.position > b.position;
    if (heads[a.head].head != heads[b.head].head) return heads[a.head].head < heads[b.head].head;
    if (a.head != b.head) return a.head < b.head;
    return a.slot < b.slot;
  };
  room = std::clamp<int64_t>(room, 0, static_cast<int64_t>(open.size()));
  if (room < static_cast<int64_t>(open.size()))
    std::nth_element(open.begin(), open.begin() + room, open.end(), better);
  for (int64_t i = 0; i < room; ++i) heads[open[i].head].forced[open[i].slot] = 1;
}

Selection taken_slots(std::span<const HeadContest> heads) {
  Selection out(heads.size());
  for (size_t h = 0; h < heads.size(); ++h)
    for (int64_t i = 0; i < heads[h].size(); ++i)
      if (heads[h].forced[i] != 0) out[h].push_back(static_cast<int32_t>(i));
  return out;
}

}  // namespace limbeck
