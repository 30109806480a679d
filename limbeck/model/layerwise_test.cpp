#include "limbeck/model/layerwise.h"

#include "limbeck/base/error.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

class Recorder : public Probe {
 public:
  explicit Recorder(int64_t layers) : queries(layers), keys(layers) {}
  uint32_t needs(int64_t) const override { return kProbeQueries; }
  void on_layer(const LayerSignals& s) override {
    queries[s.layer].push_back(s.queries.clone());
    keys[s.layer].push_back(s.keys.clone());
  }
  std::vector<std::vector<at::Tensor>> queries, keys;
};

/// Queries and keys that Model::forward shows for each suffix behind a clone of the cache.
TEST(LayerwiseTest, RowsEqualThoseOfAForwardPass) {
  const Model model = random_model(test::small_spec(), DType::f32, 3);
  KvCache context = model.new_cache();
  prefill(model, context, test::random_tokens(30, 4));
  test::compact_randomly(context, 5);
  prefill(model, context, test::random_tokens(12, 6));  // a segment, a tail and a ring
  const std::vector<std::vector<int32_t>> suffixes = {test::random_tokens(25, 7),
                                                      test::random_tokens(13, 8)};
  std::vector<Recorder> want;
  for (const auto& suffix : suffixes) {
    KvCache copy = context.clone();
    Recorder recorder(model.spec().layer_count());
    model.forward(copy, suffix, {}, &recorder);
    want.push_back(std::move(recorder));
  }
  const KvCache before = context.clone();
  int64_t layers = 0;
  LayerwiseOptions options;
  options.block = 10;
  forward_layerwise(
      model, context, suffixes,
      [&](const LayerwiseRows& rows) {
        EXPECT_EQ(rows.layer, layers++);
        for (size_t s = 0; s < suffixes.size(); ++s) {
          EXPECT_LT(test::max_difference(rows.queries[s], want[s].queries[rows.layer][0]), 1e-4);
          EXPECT_LT(test::max_difference(rows.keys[s], want[s].keys[rows.layer][0]), 1e-4);
        }
        return LayerwiseAnswer{};
      },
      options);
  EXPECT_EQ(layers, model.spec().layer_count());
  EXPECT_TRUE(cache_equal(before, context));
}

/// A span apart from the rest: what rows see elsewhere and in the span together is what they see in
/// all, whoever computes the span's part.
TEST(LayerwiseTest, ASpanApartChangesNothing) {
  const Model model = random_model(test::small_spec({0, 0, 0}), DType::f32, 3);
  KvCache context = model.new_cache();
  prefill(model, context, test::random_tokens(30, 4));
  test::compact_randomly(context, 5);
  prefill(model, context, test::random_tokens(12, 6));
  const std::vector<std::vector<int32_t>> suffixes = {test::random_tokens(25, 7),
                                                      test::random_tokens(13, 8)};
  const double scale = model.spec().softmax_scale;
  std::vector<LayerwiseRows> want;
  forward_layerwise(model, context, suffixes, [&](const LayerwiseRows& rows) {
    want.push_back(rows);
    return LayerwiseAnswer{};
  });
  for (const PositionRange span : {PositionRange{0, 42}, PositionRange{30, 36}})
    for (const bool answered : {false, true}) {
      LayerwiseOptions options;
      options.block = 10;
      options.span = span;
      forward_layerwise(
          model, context, suffixes,
          [&](const LayerwiseRows& rows) {
            const LayerSegment slots = cache_gather(context, rows.layer, span);
            LayerwiseAnswer answer;
            for (size_t s = 0; s < suffixes.size(); ++s) {
              const LayerwiseRows& all = want[rows.layer];
              EXPECT_LT(test::max_difference(rows.queries[s], all.queries[s]), 1e-4);
              const AttentionPart part = attention_over(slots, rows.queries[s], scale);
              const at::Tensor both = at::logaddexp(part.lse, rows.elsewhere[s]);
              EXPECT_LT(test::max_difference(both, all.elsewhere[s]), 1e-4);
              if (answered) answer.seen.push_back(part);
            }
            return answer;
          },
          options);
    }
}

/// Replacing a layer's context by what a compacted cache holds there gives that cache's queries.
TEST(LayerwiseTest, SegmentsOfTheVisitorReplaceTheContext) {
  const Model model = random_model(test::small_spec({0, 0, 0}), DType::f32, 3);
  KvCache context = model.new_cache();
  prefill(model, context, test::random_tokens(30, 4));
  KvCache compacted = context.clone();
  test::compact_randomly(compacted, 9);
  const std::vector<std::vector<int32_t>> suffixes = {test::random_tokens(9, 7)};
  Recorder want(3);
  {
    KvCache copy = compacted.clone();
    model.forward(copy, suffixes[0], {}, &want);
  }
  LayerwiseOptions options;
  options.span = {0, 30};
  forward_layerwise(
      model, context, suffixes,
      [&](const LayerwiseRows& rows) {
        EXPECT_LT(test::max_difference(rows.queries[0], want.queries[rows.layer][0]), 1e-4);
        return LayerwiseAnswer{compacted.layer(rows.layer).segments[0], {}};
      },
      options);
}

TEST(LayerwiseTest, ASuffixBeyondTheWindowIsRefused) {
  const Model model = random_model(test::small_spec(), DType::f32, 3);
  KvCache context = model.new_cache();
  prefill(model, context, test::random_tokens(200, 4));
  const std::vector<std::vector<int32_t>> suffixes = {test::random_tokens(57, 7)};
  EXPECT_THROW(forward_layerwise(model, context, suffixes,
                                 [](const LayerwiseRows&) { return LayerwiseAnswer{}; }),
               InvalidArgument);
}

}  // namespace
}  // namespace limbeck
