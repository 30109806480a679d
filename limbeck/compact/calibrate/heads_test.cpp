#include "limbeck/compact/calibrate/heads.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

RepeatPrompt prompt() {
  RepeatPrompt p;
  p.first = test::random_tokens(3, 1);
  return p;
}

HeadCalibrationOptions small() {
  HeadCalibrationOptions o;
  o.tokens = 12;
  o.texts = 2;
  return o;
}

TEST(HeadCalibrationTest, EveryHeadOfAFullLayerGetsAPositiveWeightAndSeedsRepeat) {
  const Model model = random_model(test::small_spec({0, 6, 0}), DType::f32, 3);
  const auto text = test::random_tokens(40, 2), before = test::random_tokens(4, 3);
  const HeadTable t = calibrate_heads(model, before, text, prompt(), small());
  EXPECT_EQ(t.values.size(), 6u);
  for (double v : t.values) EXPECT_GT(v, 0);
  EXPECT_EQ(calibrate_heads(model, before, text, prompt(), small()).values, t.values);
  HeadCalibrationOptions other = small();
  other.seed = 9;
  EXPECT_NE(calibrate_heads(model, before, text, prompt(), other).values, t.values);
}

TEST(HeadCalibrationTest, AHeadThatNobodyReadsWeighsNothing) {
  Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
  // Columns of W_O that read KV head 1 of layer 1: query heads 3 to 5 of 16 values each.
  at::Tensor& output = model.weights().layers[1].output;
  output = output.clone();
  output.narrow(1, 48, 48).zero_();
  const HeadTable t = calibrate_heads(model, {}, test::random_tokens(40, 2), prompt(), small());
  EXPECT_EQ(t.at(1, 1), 0);
  EXPECT_GT(t.at(1, 0), 0);
}

/// Half the values and twice the columns that read them: the same model, whose head puts out half
/// as much, so that each unit of it counts twice as much and its square four times.
TEST(HeadCalibrationTest, WeightsAreSquaredGradients) {
  Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
  const auto text = test::random_tokens(40, 2);
  const HeadTable before = calibrate_heads(model, {}, text, prompt(), small());
  LayerWeights& w = model.weights().layers[1];
  w.output = w.output.clone();
  w.output.narrow(1, 48, 48).mul_(2);  // query heads 3 to 5 of 16 values each read KV head 1
  w.qkv = w.qkv.clone();
  w.qkv.narrow(0, (6 + 2 + 1) * 16, 16).div_(2);  // its values, behind 6 queries and 2 keys
  const HeadTable after = calibrate_heads(model, {}, text, prompt(), small());
  for (int64_t l = 0; l < 2; ++l)
    for (int64_t h = 0; h < 2; ++h)
      EXPECT_NEAR(after.at(l, h) / before.at(l, h), l == 1 && h == 1 ? 4.0 : 1.0, 1e-3)
          << l << " " << h;
}

/// The weight of a group is the sum over its query heads.
TEST(HeadCalibrationTest, QueryHeadsOfAGroupAddUp) {
  const auto text = test::random_tokens(40, 2);
  // The last layer's columns of one query head alone, times a factor that keeps the model all but
  // linear in them: its share of the sum.
  const auto with = [&](const std::vector<int64_t>& read) {
    Model model = random_model(test::small_spec({0, 0}), DType::f32, 3);
    at::Tensor& output = model.weights().layers[1].output;
    const at::Tensor all = output;
    output = at::zeros_like(all);
    for (const int64_t head : read)
      output.narrow(1, head * 16, 16).copy_(all.narrow(1, head * 16, 16) * 1e-4);
    return calibrate_heads(model, {}, text, prompt(), small()).at(1, 1);
  };
  const double sum = with({3}) + with({4}) + with({5});
  EXPECT_GT(sum, 0);
  EXPECT_NEAR(with({3, 4, 5}) / sum, 1.0, 0.02);
}

TEST(HeadCalibrationTest, AShortTextIsRefused) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 3);
  EXPECT_THROW(calibrate_heads(model, {}, test::random_tokens(23, 2), prompt(), small()),
               InvalidArgument);
}

}  // namespace
}  // namespace limbeck
