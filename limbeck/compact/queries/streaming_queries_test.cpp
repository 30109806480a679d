// What methods learn from in layers where some heads stream.
#include "limbeck/compact/compact.h"
#include "limbeck/compact/queries/own_queries.h"
#include "limbeck/model/attention.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

HeadPattern pattern_of(ChunkMask mask, int64_t window = 16) {
  HeadPattern p;
  p.layers = p.kv_heads = 2;
  p.streaming = {1, 0, 0, 1};
  p.sinks = 4;
  p.window = window;
  p.mask = mask;
  return p;
}

/// Queries and log masses of every layer, from a forward pass.
class Recorder : public Probe {
 public:
  uint32_t needs(int64_t) const override { return kProbeQueries | kProbeLse; }
  void on_layer(const LayerSignals& s) override {
    queries.push_back(s.queries.clone());
    lse.push_back(s.lse.clone());
  }
  std::vector<at::Tensor> queries, lse;
};

struct Streaming {
  explicit Streaming(ChunkMask mask = ChunkMask::full, int64_t window = 16)
      : model(random_model(test::small_spec({0, 0}), DType::f32, 5)), cache(model.new_cache()) {
    cache.set_head_pattern(pattern_of(mask, window));
    PrefillOptions p;
    p.chunk = 20;
    prefill(model, cache, tokens, p);
  }
  Model model;
  KvCache cache;
  std::vector<int32_t> tokens = test::random_tokens(80, 1);
};

TEST(StreamingQueriesTest, RowsKnowWhatTheyFindOutsideTheSpan) {
  Streaming s;
  const PositionRange span{10, 70};
  const std::vector<int32_t> suffix = test::random_tokens(12, 2);
  KvCache read = s.cache.clone();
  Recorder record;
  const Feed feed{&read, suffix, &record};
  s.model.forward(std::span(&feed, 1));

  const ReferenceSuffix reference{.tokens = suffix, .chunk = span};
  int64_t layers = 0;
  for_each_query_layer(
      s.model, s.cache, span, {&reference, 1}, [&](const LayerQueries& q) -> LayerAnswer {
        ++layers;
        const at::Tensor rows = q.chunks[0].queries.contiguous();
        EXPECT_LT(test::max_difference(rows, record.queries[q.layer]), 1e-4) << q.layer;
        // Inside the span and outside make up all.
        const at::Tensor inside =
            attention_over(cache_gather(s.cache, q.layer, span), rows, q.scale).lse;
        const at::Tensor all = at::logaddexp(inside, q.chunks[0].elsewhere);
        EXPECT_LT(test::max_difference(all, record.lse[q.layer]), 1e-4) << q.layer;
        return {};
      });
  EXPECT_EQ(layers, 2);
}

TEST(StreamingQueriesTest, CoverageIsWhatQueriesReallyGive) {
  Streaming s;
  CompactOptions o;
  o.method = "kvzip";
  o.scorer = "attention";
  o.allocator = "uniform";
  o.budget = 8;
  const std::vector<int32_t> suffix = test::random_tokens(12, 2);
  o.references = {{.tokens = suffix, .chunk = {0, 80}}};
  KvCache read = s.cache.clone();
  Recorder record;
  const Feed feed{&read, suffix, &record};
  s.model.forward(std::span(&feed, 1));
  KvCache compacted = s.cache.clone();
  compact(s.model, compacted, o);
  for (const auto& [layer, head] : {std::pair{0, 1}, {1, 0}}) {
    const LayerSegment all = cache_gather(s.cache, layer, {0, 80});
    const at::Tensor keys = all.keys.narrow(0, all.offsets[head], 80);
    const at::Tensor rows = record.queries[layer].narrow(0, 3 * head, 3).reshape({36, 16});
    const at::Tensor lse = record.lse[layer].narrow(0, 3 * head, 3).reshape({36, 1});
    const at::Tensor best =
        std::get<0>((at::mm(rows, keys.t()) * s.model.spec().softmax_scale - lse).exp().max(0));
    const at::Tensor expected = std::get<0>(std::get<1>(best.topk(8)).sort());
    const LayerSegment kept = cache_gather(compacted, layer, {0, 80});
    EXPECT_EQ(kept.slots(head), 8);
    EXPECT_TRUE(at::equal(kept.positions.narrow(0, kept.offsets[head], 8).to(at::kLong), expected))
        << layer;
  }
}

TEST(StreamingQueriesTest, OwnQueriesAreThoseOfAModelWhoseHeadsStream) {
  for (const ChunkMask mask : {ChunkMask::full, ChunkMask::window}) {
    // The last rows see what is still held: all of it when the window is long enough.
    for (const int64_t rows : {int64_t{6}, kAllRows}) {
      Streaming s(mask, rows == kAllRows ? 16 : 80);
      KvCache again = s.model.new_cache();
      again.set_head_pattern(*s.cache.head_pattern());
      const int64_t first = rows == kAllRows ? 0 : 80 - rows;
      if (first > 0) s.model.forward(again, std::span<const int32_t>(s.tokens).first(first));
      Recorder record;
      const Feed feed{&again, std::span<const int32_t>(s.tokens).subspan(first), &record};
      s.model.forward(std::span(&feed, 1));
      for_each_own_layer(s.model, s.cache, {0, 80}, rows, [&](const OwnQueries& own) {
        EXPECT_EQ(own.first, first);
        EXPECT_LT(test::max_difference(own.queries, record.queries[own.layer]), 1e-4)
            << chunk_mask_name(mask) << " layer " << own.layer << " rows " << rows;
      });
    }
  }
}

}  // namespace
}  // namespace limbeck
