#include "limbeck/compact/calibrate/shares.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <gtest/gtest.h>

#include <numeric>

namespace limbeck {
namespace {

ShareCalibrationOptions small() {
  ShareCalibrationOptions o;
  o.tokens = 60;
  o.texts = 2;
  return o;
}

TEST(CalibrateSharesTest, AreTheMeanOfWhatTheMethodGivesEachHead) {
  const Model model = random_model(test::small_spec({0, 8, 0}), DType::f32, 21);
  const RepeatPrompt repeat = test::compact_options("wpc", 0.1, 50).repeat;
  const auto text = test::random_tokens(120, 4), before = test::random_tokens(3, 9);
  const HeadTable table = calibrate_shares(model, before, text, repeat, {}, small());
  EXPECT_EQ(table.kind, "shares");
  EXPECT_EQ(table.fingerprint, model.fingerprint());
  EXPECT_NEAR(std::accumulate(table.values.begin(), table.values.end(), 0.0), 1.0, 1e-12);
  for (int64_t h = 0; h < 2; ++h) EXPECT_EQ(table.at(1, h), 0.0);  // a sliding window

  std::vector<double> want(4, 0.0);
  for (int64_t i = 0; i < 2; ++i) {
    KvCache cache = model.new_cache();
    prefill(model, cache, before);
    prefill(model, cache, std::span(text).subspan(60 * i, 60));
    CompactOptions o;
    o.method = "wpc";
    o.ratio = 0.1;
    o.span = PositionRange{3, 63};
    o.repeat = repeat;
    const CompactReport r = compact(model, cache, o);
    for (size_t k = 0; k < 4; ++k)
      want[k] += 0.5 * static_cast<double>(r.kept[k]) / static_cast<double>(r.entries_after);
  }
  for (int64_t k = 0; k < 4; ++k) EXPECT_NEAR(table.at(k / 2 * 2, k % 2), want[k], 0.01);
}

TEST(CalibrateSharesTest, RefusesAShortText) {
  const Model model = random_model(test::small_spec({0}), DType::f32, 21);
  const RepeatPrompt repeat = test::compact_options("wpc", 0.1, 50).repeat;
  EXPECT_THROW(calibrate_shares(model, {}, test::random_tokens(119, 4), repeat, {}, small()),
               InvalidArgument);
}

}  // namespace
}  // namespace limbeck
