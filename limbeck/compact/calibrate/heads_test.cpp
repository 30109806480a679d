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

TEST(HeadCalibrationTest, AShortTextIsRefused) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 3);
  EXPECT_THROW(calibrate_heads(model, {}, test::random_tokens(23, 2), prompt(), small()),
               InvalidArgument);
}

}  // namespace
}  // namespace limbeck
