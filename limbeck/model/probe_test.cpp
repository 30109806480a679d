#include "limbeck/model/probe.h"

#include "limbeck/model/attention.h"
#include "limbeck/model/model_testing.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::max_difference;
using test::random_tokens;
using test::small_spec;

constexpr double kTolerance = 2e-5;
constexpr uint32_t kEverything =
    kProbeHidden | kProbeQueries | kProbePreRope | kProbeAttention | kProbeLse;

at::Tensor rotated(const Model& model, const LayerSignals& s, const at::Tensor& x) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < x.size(1); ++i) positions.push_back(s.first_position + i);
  const auto [cos, sin] = model.rope(s.layer, positions);
  const auto halves = x.to(at::kFloat).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

/// Checks every signal against the others and the model's weights.
struct CheckingProbe : Probe {
  explicit CheckingProbe(const Model& m) : model(m) {}
  uint32_t needs(int64_t layer) const override {
    return layer == 1 ? static_cast<uint32_t>(kProbeSkip) : kEverything;
  }
  void on_layer(const LayerSignals& s) override {
    seen.push_back(s.layer);
    EXPECT_LT(max_difference(rotated(model, s, s.queries_pre_rope), s.queries), kTolerance);
    EXPECT_LT(max_difference(rotated(model, s, s.keys_pre_rope), s.keys), kTolerance);
    at::Tensor lse;
    const at::Tensor out =
        attention_plain({s.cache, s.queries, s.keys, s.values, model.spec().softmax_scale}, &lse);
    EXPECT_LT(max_difference(out, s.attention), kTolerance);
    EXPECT_LT(max_difference(lse, s.lse), kTolerance);
    const ModelSpec& spec = model.spec();
    const at::Tensor qkv = at::linear(s.hidden.to(at::kFloat), model.weights().layers[s.layer].qkv);
    const int64_t width = spec.kv_heads * spec.head_dim, first = qkv.size(1) - width;
    const at::Tensor values =
        qkv.narrow(1, first, width).view({-1, spec.kv_heads, spec.head_dim}).transpose(0, 1);
    EXPECT_LT(max_difference(values, s.values), kTolerance);
  }
  const Model& model;
  std::vector<int64_t> seen;
};

ModelSpec normed() {
  ModelSpec s = small_spec();
  s.qk_norm = true;
  return s;
}

TEST(ProbeTest, SignalsFitTogetherForManyRowsFewRowsAndOne) {
  const Model model = random_model(normed(), DType::f32, 1);
  for (int64_t rows : {30, 5, 1}) {
    KvCache cache = model.new_cache();
    prefill(model, cache, random_tokens(20, 1));
    test::compact_randomly(cache, 2);
    prefill(model, cache, random_tokens(9, 3));
    CheckingProbe probe(model), plain(model);
    const auto tokens = random_tokens(rows, 4);
    {
      c10::NoGradGuard guard;
      model.forward_differentiable(cache, tokens, {}, &plain);
    }
    model.forward(cache, tokens, {}, &probe);
    EXPECT_EQ(probe.seen, (std::vector<int64_t>{0, 2}));
    EXPECT_EQ(plain.seen, (std::vector<int64_t>{0, 2}));
  }
}

TEST(ProbeTest, SignalsAreCompleteWhenNoLogitsAreWanted) {
  const Model model = random_model(normed(), DType::f32, 1);
  KvCache cache = model.new_cache();
  CheckingProbe probe(model);
  model.forward(cache, random_tokens(12, 4), {.logits = LogitsWanted::none}, &probe);
  EXPECT_EQ(probe.seen, (std::vector<int64_t>{0, 2}));
}

struct ModestProbe : Probe {
  uint32_t needs(int64_t) const override { return kProbeNothing; }
  void on_layer(const LayerSignals& s) override {
    ++calls;
    EXPECT_TRUE(s.keys.defined() && s.values.defined());
    EXPECT_FALSE(s.hidden.defined() || s.queries.defined() || s.queries_pre_rope.defined() ||
                 s.keys_pre_rope.defined() || s.attention.defined() || s.lse.defined());
  }
  int calls = 0;
};

TEST(ProbeTest, NothingIsComputedThatNobodyAskedFor) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = model.new_cache();
  ModestProbe probe;
  model.forward(cache, random_tokens(12, 4), {}, &probe);
  model.forward(cache, random_tokens(1, 5), {}, &probe);
  EXPECT_EQ(probe.calls, 6);
}

struct PositionProbe : Probe {
  uint32_t needs(int64_t layer) const override { return layer == 0 ? kProbeNothing : kProbeSkip; }
  void on_layer(const LayerSignals& s) override { positions.push_back(s.first_position); }
  std::vector<int64_t> positions;
};

TEST(ProbeTest, PositionsAreLogicalBehindACompactedCache) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = model.new_cache();
  PositionProbe probe;
  prefill(model, cache, random_tokens(20, 1), {.chunk = 12, .probe = &probe});
  test::compact_randomly(cache, 1);
  model.forward(cache, random_tokens(2, 1), {}, &probe);
  EXPECT_EQ(probe.positions, (std::vector<int64_t>{0, 12, 20}));
}

}  // namespace
}  // namespace limbeck
