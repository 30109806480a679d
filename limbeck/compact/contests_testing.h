/// Contests of made-up scores, for this room's tests.
#pragma once

#include "limbeck/compact/selection.h"

#include <numeric>
#include <utility>
#include <vector>

namespace limbeck::test {

/// Scores and positions that outlive the contests that view them.
struct Contests {
  std::vector<std::vector<float>> scores;
  std::vector<std::vector<int32_t>> positions;
  std::vector<HeadContest> heads;

  void add(int64_t layer, int64_t head, std::vector<float> s, int64_t budget) {
    std::vector<int32_t> p(s.size());
    std::iota(p.begin(), p.end(), 0);
    scores.push_back(std::move(s));
    positions.push_back(std::move(p));
    heads.push_back({layer, head, {}, {}, std::vector<uint8_t>(scores.back().size(), 0), budget});
    for (size_t i = 0; i < heads.size(); ++i) {
      heads[i].scores = scores[i];
      heads[i].positions = positions[i];
    }
  }
};

}  // namespace limbeck::test
