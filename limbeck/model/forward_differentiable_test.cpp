#include "limbeck/model/model_testing.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::random_tokens;
using test::small_spec;

/// A scalar of the logits of a few rows behind a compacted cache.
struct Scalar {
  explicit Scalar(const ModelSpec& spec)
      : model(random_model(spec, DType::f32, 1)), cache(model.new_cache()) {
    prefill(model, cache, random_tokens(20, 1));
    test::compact_randomly(cache, 2);
    prefill(model, cache, random_tokens(3, 3));
    Random random(5);
    weights = test::random_tensor({6, spec.vocabulary}, random);
  }
  at::Tensor operator()() const {
    const auto logits =
        model.forward_differentiable(cache, random_tokens(6, 4), {.logits = LogitsWanted::all})
            .logits;
    return (logits * weights).sum();
  }
  Model model;
  KvCache cache;
  at::Tensor weights;
};

/// Directional derivative by autograd and by central differences.
void expect_gradient(const Scalar& f, at::Tensor parameter, const char* what) {
  Random random(9);
  const at::Tensor direction = test::random_tensor(parameter.sizes().vec(), random);
  parameter.requires_grad_(true);
  const at::Tensor loss = f();
  loss.backward();
  ASSERT_TRUE(parameter.grad().defined()) << what;
  const double slope = (parameter.grad() * direction).sum().item<double>();
  parameter.mutable_grad().reset();
  parameter.requires_grad_(false);
  c10::NoGradGuard guard;
  const at::Tensor before = parameter.clone();
  constexpr double kStep = 2e-3;  // f32: rounding falls and curvature grows with it
  parameter.copy_(before + kStep * direction);
  const double up = f().item<double>();
  parameter.copy_(before - kStep * direction);
  const double down = f().item<double>();
  parameter.copy_(before);
  EXPECT_NEAR(slope, (up - down) / (2 * kStep), 1e-2 * std::max(1.0, std::abs(slope))) << what;
}

void expect_gradients(const ModelSpec& spec, int64_t layer) {
  Scalar f(spec);
  const LayerSegment& segment = *f.cache.layer(layer).segments.front();
  expect_gradient(f, segment.bias, "bias");
  expect_gradient(f, segment.values, "values");
  expect_gradient(f, segment.keys, "keys");
  LayerWeights& w = f.model.weights().layers[layer];
  expect_gradient(f, w.qkv, "qkv");
  expect_gradient(f, w.mlp_norm, "norm");
  expect_gradient(f, f.model.weights().embedding, "embedding");
  expect_gradient(f, f.model.weights().head, "head");
}

TEST(DifferentiableTest, GradientsReachSegmentsAndWeights) { expect_gradients(small_spec(), 0); }

TEST(DifferentiableTest, GradientsReachThemThroughNormsAndTiedHeads) {
  ModelSpec spec = small_spec();
  spec.qk_norm = spec.norm_plus_one = spec.sandwich_norms = spec.tied_head = true;
  spec.embedding_scale = 6.3;
  spec.activation = Activation::gelu_tanh;
  expect_gradients(spec, 0);
}

TEST(DifferentiableTest, TheCacheIsNotAppendedTo) {
  Scalar f(small_spec());
  const KvCache before = f.cache.clone();
  f();
  EXPECT_TRUE(cache_equal(f.cache, before));
}

struct GraphProbe : Probe {
  uint32_t needs(int64_t layer) const override { return layer == 2 ? kProbeAttention : kProbeSkip; }
  void on_layer(const LayerSignals& s) override { attention = s.attention; }
  at::Tensor attention;
};

TEST(DifferentiableTest, ProbesSeeTensorsOfTheGraph) {
  Scalar f(small_spec());
  const at::Tensor bias = f.cache.layer(0).segments.front()->bias;
  bias.requires_grad_(true);
  GraphProbe probe;
  f.model.forward_differentiable(f.cache, random_tokens(4, 1), {}, &probe);
  ASSERT_TRUE(probe.attention.requires_grad());
  probe.attention.pow(2).sum().backward();
  EXPECT_GT(bias.grad().abs().max().item<double>(), 0.0);
}

TEST(DifferentiableTest, GradientsReachSegmentsInBfloat16) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = model.new_cache();
  prefill(model, cache, random_tokens(20, 1));
  test::compact_randomly(cache, 2);
  const at::Tensor bias = cache.layer(2).segments.front()->bias;
  bias.requires_grad_(true);
  model.forward_differentiable(cache, random_tokens(4, 1), {.logits = LogitsWanted::all})
      .logits.pow(2)
      .sum()
      .backward();
  EXPECT_GT(bias.grad().abs().max().item<double>(), 0.0);
  EXPECT_TRUE(at::isfinite(bias.grad()).all().item<bool>());
}

}  // namespace
}  // namespace limbeck
