#include "limbeck/compact/fit/gram.h"
#include "limbeck/compact/fit/row_features.h"
#include "limbeck/compact/fit/synthetic_heads.h"
#include "limbeck/model/kernels/cpu_path.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::normal;
using test::synthetic_head;
using test::SyntheticHead;

TEST(GramTest, IdentitiesHoldForAnyBatchAndAnyWeights) {
  const SyntheticHead head = synthetic_head(3, 0.5, 150, 400, 1, 16);
  HeadProblem p = head.train;
  Random random(8);
  p.weights = normal({400}, random).abs();
  p.bias = normal({150}, random);
  const Features f = softmax_features(attention_logits(p.queries, p.keys, p.bias, p.scale));
  const at::Tensor aw = (f.a * p.weights.unsqueeze(1)).to(at::kDouble);
  const at::Tensor y = at::mm(f.a, p.values).to(at::kDouble);
  for (int64_t batch : {7, 64, 1000}) {
    const at::Tensor g = attention_gram(p, batch).to(at::kDouble);
    const at::Tensor mass = aw.sum(0), output = at::mm(aw.t(), y);
    EXPECT_LT((g.sum(1) - mass).norm().item<double>(), 1e-5 * mass.norm().item<double>());
    EXPECT_LT((at::mm(g, p.values.to(at::kDouble)) - output).norm().item<double>(),
              1e-5 * output.norm().item<double>());
  }
}

TEST(GramTest, ASketchEstimatesTheGram) {
  const SyntheticHead head = synthetic_head(3, 0.5, 60, 2000, 1, 16);
  const at::Tensor g = attention_gram(head.train);
  at::Tensor mean = at::zeros_like(g);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const at::Tensor b = mixed_row_features(head.train, 200, 0.3, seed).a;
    mean += at::mm(b.t(), b) / 40.0;
  }
  EXPECT_LT(((mean - g).norm() / g.norm()).item<double>(), 0.1);
}

TEST(GramTest, TheFactorGivesPartsOfTheWholeMatrix) {
  Random random(5);
  // Rows and columns that fill neither runs nor panels.
  const at::Tensor b = normal({1100, 210}, random), m = normal({210, 7}, random).to(at::kDouble);
  const auto factor = factored_gram(b);
  const at::Tensor wide = b.to(at::kDouble), g = at::mm(wide.t(), wide);
  std::vector<int64_t> some(70);
  for (int64_t& slot : some) slot = static_cast<int64_t>(random.below(210));
  const at::Tensor index = at::tensor(some, at::kLong);
  const auto off = [&](const at::Tensor& got, const at::Tensor& want) {
    return ((got - want).abs().max() / g.max()).item<double>();
  };
  EXPECT_EQ(factor->size(), 210);
  EXPECT_LT(off(factor->diagonal(), g.diagonal()), 1e-6);
  EXPECT_LT(off(factor->columns(index), g.index_select(1, index)), 1e-6);
  EXPECT_LT(off(factor->block(index), g.index_select(0, index).index_select(1, index)), 1e-6);
  EXPECT_LT(off(factor->times(m), at::mm(g, m)), 1e-12);
}

TEST(GramTest, TilesEqualTheFactor) {
  if (cpu_best_path() <= CpuPath::avx2)
    GTEST_SKIP() << "this processor has nothing for bf16: tiled_gram() is factored_gram() here";
  Random random(4);
  const at::Tensor b = normal({150, 210}, random).to(at::kBFloat16).to(at::kFloat);
  const at::Tensor index = at::tensor(std::vector<int64_t>{3, 200, 17, 4, 99}, at::kLong);
  const auto slow = factored_gram(b);
  const double scale = slow->diagonal().max().item<double>();
  for (const CpuPath path : {CpuPath::avx512, CpuPath::avx512_bf16, CpuPath::amx}) {
    if (path > cpu_best_path()) continue;
    SCOPED_TRACE(cpu_path_name(path));
    const ForceCpuPath force(path);
    const auto fast = tiled_gram(b);
    const auto off = [&](const at::Tensor& got, const at::Tensor& want) {
      return (got - want).abs().max().item<double>() / scale;
    };
    EXPECT_LT(off(fast->columns(index), slow->columns(index)), 1e-5);
    EXPECT_LT(off(fast->block(index), slow->block(index)), 1e-5);
    EXPECT_LT(off(fast->diagonal(), slow->diagonal()), 1e-5);
  }
}

}  // namespace
}  // namespace limbeck
