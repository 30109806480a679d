/// A deterministic fixture for this room's tests: two heads of twelve
/// 4-dimensional keys and values without RoPE, two query heads for each, logits scaled by 1/2.
#pragma once

#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace limbeck::test {

inline LayerSegment fixture_slots() {
  constexpr int64_t heads = 2, n = 12, dim = 4;
  LayerSegment s;
  s.keys = at::empty({heads * n, dim}, at::kFloat);
  s.values = at::empty({heads * n, dim}, at::kFloat);
  s.positions = at::arange(n, at::kInt).repeat({heads});
  s.offsets = {0, n, 2 * n};
  auto k = s.keys.accessor<float, 2>();
  auto v = s.values.accessor<float, 2>();
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t c = 0; c < dim; ++c) {
        k[h * n + j][c] = static_cast<float>(std::sin(.37 * (j + 1) * (c + 1) + 1.1 * h));
        v[h * n + j][c] = static_cast<float>(std::cos(.53 * (j + 1) * (c + 1) + .7 * h));
      }
  return s;
}

/// q[g][i][c] = 2 sin(.29 (i+1)(c+1) + .9 g), [4, 12, 4].
inline at::Tensor fixture_queries() {
  at::Tensor q = at::empty({4, 12, 4}, at::kFloat);
  auto a = q.accessor<float, 3>();
  for (int64_t g = 0; g < 4; ++g)
    for (int64_t i = 0; i < 12; ++i)
      for (int64_t c = 0; c < 4; ++c)
        a[g][i][c] = static_cast<float>(2 * std::sin(.29 * (i + 1) * (c + 1) + .9 * g));
  return q;
}

inline ScoreInput fixture_input(const LayerSegment& slots, const Model* model = nullptr) {
  ScoreInput in;
  in.model = model;
  in.slots = &slots;
  in.span = {0, 12};
  return in;
}

/// A head's kept slots, `keep` in all, without any protected ones.
inline std::vector<int32_t> fixture_top(const at::Tensor& scores, int64_t head, int64_t keep,
                                        std::vector<uint8_t> forced = std::vector<uint8_t>(12, 0)) {
  std::vector<int32_t> positions(12);
  std::iota(positions.begin(), positions.end(), 0);
  const HeadContest contest{
      0,   head, {scores.const_data_ptr<float>() + 12 * head, 12}, positions, std::move(forced),
      keep};
  return top_slots(contest, keep);
}

struct Expected {
  double checksum;
  std::vector<int32_t> kept;
};

/// Compares chk = sum (j + 1) s_j and the top 4 of each head with the expected ones.
inline at::Tensor expect_fixture(const std::string& scorer, const OptionTexts& options,
                                 const std::vector<Expected>& expected) {
  const LayerSegment slots = fixture_slots();
  const OwnQueries own{0, 0, 0.5, fixture_queries()};
  ScoreInput in = fixture_input(slots);
  in.own = &own;
  at::Tensor out = at::empty({24}, at::kFloat);
  make_scorer(scorer, options)->score(in, out);
  for (int64_t h = 0; h < 2; ++h) {
    const float* s = out.const_data_ptr<float>() + 12 * h;
    double checksum = 0;
    for (int j = 0; j < 12; ++j) checksum += (j + 1) * s[j];
    EXPECT_NEAR(checksum, expected[h].checksum, 1e-4) << scorer << " head " << h;
    EXPECT_EQ(fixture_top(out, h, 4), expected[h].kept) << scorer << " head " << h;
  }
  return out;
}

}  // namespace limbeck::test
