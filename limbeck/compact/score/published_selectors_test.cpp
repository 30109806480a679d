#include "limbeck/compact/fit/closed_form_head.h"
#include "limbeck/compact/fit/omp.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

/// A layer of one KV head and the rows of one query head.
struct Layer {
  LayerSegment slots;
  LayerQueries queries;
  explicit Layer(const HeadProblem& p) {
    const int64_t size = p.keys.size(0);
    slots.keys = p.keys;
    slots.values = p.values;
    slots.offsets = {0, size};
    slots.positions = at::arange(size, at::kInt);
    queries = {0, p.scale, {{{0, size}, 1.0, p.queries.unsqueeze(0), {}, {}}}};
  }
  std::vector<float> scores(const std::string& scorer, const OptionTexts& options,
                            int64_t budget = 0) const {
    ScoreInput in;
    in.slots = &slots;
    in.span = {0, slots.slots()};
    in.queries = &queries;
    const std::vector<int64_t> budgets = {budget};
    in.budgets = budgets;
    at::Tensor out = at::empty({slots.slots()}, at::kFloat);
    make_scorer(scorer, options)->score(in, out);
    return {out.const_data_ptr<float>(), out.const_data_ptr<float>() + slots.slots()};
  }
};

void expect_scores(const std::vector<float>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t j = 0; j < want.size(); ++j) EXPECT_NEAR(got[j], want[j], 1e-6) << j;
}

TEST(PublishedSelectorsTest, HighestAttentionEqualsTheClosedForm) {
  const Layer layer(test::closed_form_head());
  // sqrt(sum of squares / 4): .5 .125 .0625 .125 of the first slot, and so on.
  const std::vector<double> rms = {.2670001, .1739926, .2964635, .2275034, .2096314};
  expect_scores(layer.scores("attention", {{"reduce", "rms"}}), rms);
  expect_scores(layer.scores("attention", {{"reduce", "mean"}}),
                {.8125 / 4, .5625 / 4, 1.125 / 4, .8125 / 4, .6875 / 4});
  expect_scores(layer.scores("attention", {{"reduce", "max"}, {"norm", "span"}}),
                {.5, .3125, .375, .375, .375});
  // Seven neighbours, zeros beyond the ends.
  const double all = rms[0] + rms[1] + rms[2] + rms[3] + rms[4];
  expect_scores(layer.scores("attention", {{"reduce", "rms"}, {"pool", "avg"}}),
                {(all - rms[4]) / 7, all / 7, all / 7, all / 7, (all - rms[0]) / 7});
  expect_scores(layer.scores("attention", {{"reduce", "rms"}, {"pool", "max"}}),
                std::vector<double>(5, rms[2]));
}

/// Rows count by their weights.
TEST(PublishedSelectorsTest, HighestAttentionWeighsRows) {
  const test::SyntheticHead head = test::synthetic_head(31, 0.5, 40, 60, 1, 16);
  const HeadProblem& p = head.train;
  Layer layer(p);
  layer.queries.chunks = {
      {{0, 40}, 1.0, p.queries.narrow(0, 0, 20).unsqueeze(0), {}, {}},
      {{0, 40}, 3.0, p.queries.narrow(0, 20, 40).unsqueeze(0), {}, {}},
  };
  const at::Tensor a = at::softmax(p.scale * at::mm(p.queries, p.keys.t()).to(at::kDouble), 1);
  const at::Tensor w =
      at::cat({at::ones({20}, at::kDouble), at::full({40}, 3.0, at::kDouble)}).unsqueeze(1);
  const at::Tensor want = ((a.square() * w).sum(0) / w.sum()).sqrt();
  const std::vector<float> got = layer.scores("attention", {{"reduce", "rms"}});
  for (int64_t j = 0; j < 40; ++j) EXPECT_NEAR(got[j], want[j].item<double>(), 1e-6) << j;
}

/// The paces by their names are those of the paper: the scorer's order is the plain loop's.
TEST(PublishedSelectorsTest, PacesOfMatchingPursuitEqualThePlainLoop) {
  struct Case {
    const char* pace;
    std::vector<OmpPace> published;
    int64_t slots, rows, limit;
  };
  const std::vector<Case> cases = {
      {"1/1", {{INT64_MAX, 1, 1}}, 120, 300, 30},
      {"4/2", {{INT64_MAX, 4, 2}}, 120, 300, 42},
      {"progressive", {{300, 1, 1}, {1500, 2, 2}, {INT64_MAX, 4, 2}}, 420, 700, 330}};
  for (const Case& c : cases) {
    const test::SyntheticHead head = test::synthetic_head(32, 0.5, c.slots, c.rows, 1, 16);
    const HeadProblem& p = head.train;
    const Layer layer(p);
    const std::vector<float> scores = layer.scores("omp", {{"pace", c.pace}}, c.limit);
    OmpOptions o;
    o.limit = c.limit;
    o.pace = c.published;
    const std::vector<int32_t> want = omp_select_plain(max_features_plain(p), o);
    std::vector<int32_t> got(c.slots);
    std::iota(got.begin(), got.end(), 0);
    std::stable_sort(got.begin(), got.end(),
                     [&](int32_t i, int32_t j) { return scores[i] > scores[j]; });
    got.resize(want.size());
    // Rounding may decide between late picks, which matter little.
    const auto first = static_cast<int64_t>(std::min<size_t>(want.size(), 300));
    EXPECT_TRUE(std::equal(got.begin(), got.begin() + first, want.begin())) << c.pace;
    std::sort(got.begin(), got.end());
    std::vector<int32_t> sorted = want, common;
    std::sort(sorted.begin(), sorted.end());
    std::set_intersection(got.begin(), got.end(), sorted.begin(), sorted.end(),
                          std::back_inserter(common));
    EXPECT_GE(common.size() * 100, want.size() * 98) << c.pace;
  }
}

}  // namespace
}  // namespace limbeck
