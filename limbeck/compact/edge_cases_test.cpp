#include "limbeck/compact/read_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace limbeck {
namespace {

/// Logits are not always scaled by the root of the head's size: everything that is learnt from
/// queries has to take the model's own scale.
TEST(SoftmaxScaleTest, FitsFollowTheModelsScale) {
  for (const double scale : {0.1, 0.4}) {
    ModelSpec spec = test::small_spec({0, 0, 0});
    spec.softmax_scale = scale;
    const Model model = random_model(std::move(spec), DType::f32, 21);
    KvCache cache = model.new_cache();
    prefill(model, cache, test::random_tokens(90, 4));
    const StoredQueries queries =
        capture_queries(model, cache, test::compact_options("kvzip-fit", 0.3, 50));
    for (const LayerQueries& q : queries.layers) EXPECT_DOUBLE_EQ(q.scale, scale);
    const auto distance = [&](const CompactOptions& o) {
      KvCache compacted = cache.clone();
      compact(model, compacted, o);
      return test::divergence(model, cache.clone(), std::move(compacted));
    };
    const double copied = distance(test::compact_options("kvzip", 0.3, 50));
    EXPECT_LT(distance(test::compact_options("kvzip-fit", 0.3, 50)), copied) << scale;
    EXPECT_LT(distance(test::compact_options("limbeck", 0.3, 50)), copied) << scale;
    // All slots but one a head, fitted: all but the full cache.
    CompactOptions nearly = test::compact_options("kvzip-fit", 0.99, 50);
    nearly.builder_options["most"] = "1";
    EXPECT_LT(distance(nearly), 0.02 * copied) << scale;
  }
}

/// A cache of ragged heads with biases, some slots of which are massless, and the same without
/// these slots.
std::pair<KvCache, KvCache> with_and_without_massless(const Model& model, const KvCache& cache) {
  KvCache with = cache.clone();
  compact(model, with, test::compact_options("wpc", 0.6, 50));
  KvCache without = with.clone();
  KvCache::NewSegment marked{with.segments()[0], {}}, cut{with.segments()[0], {}};
  for (int64_t l = 0; l < with.shape().layer_count(); ++l) {
    LayerSegment s = *with.layer(l).segments[0];
    s.bias = s.bias.defined() ? s.bias.clone() : at::zeros({s.slots()}, at::kFloat);
    std::vector<int64_t> index, offsets = {0};
    for (int64_t h = 0; h < with.shape().kv_heads; ++h) {
      for (int64_t i = s.offsets[h]; i < s.offsets[h + 1]; ++i)
        if ((i - s.offsets[h]) % 5 == 2)
          s.bias[i] = -std::numeric_limits<float>::infinity();
        else
          index.push_back(i);
      offsets.push_back(static_cast<int64_t>(index.size()));
    }
    cut.layers.push_back(
        std::make_shared<LayerSegment>(segment_gather(s, at::tensor(index, at::kLong), offsets)));
    marked.layers.push_back(std::make_shared<LayerSegment>(std::move(s)));
  }
  const auto segments = static_cast<int64_t>(with.segments().size());
  std::vector<KvCache::NewSegment> a, b;
  a.push_back(std::move(marked));
  b.push_back(std::move(cut));
  with.replace_segments(0, segments, std::move(a));
  without.replace_segments(0, segments, std::move(b));
  return {std::move(with), std::move(without)};
}

TEST(MasslessSlotTest, IsNeverKeptAndChangesNoChoice) {
  const test::Read r({0, 0}, DType::f32, 100);
  const auto [with, without] = with_and_without_massless(r.model, r.cache);
  for (const char* method : {"limbeck", "wpc", "am-hak", "am-omp", "am-omp-fast", "am-omp-gram"}) {
    CompactOptions o = test::compact_options(method, 1.0, 50);
    o.ratio.reset();
    o.budget = 16;
    KvCache a = with.clone(), b = without.clone();
    compact(r.model, a, o);
    compact(r.model, b, o);
    for (int64_t l = 0; l < 2; ++l) {
      const LayerSegment &x = *a.layer(l).segments[0], &y = *b.layer(l).segments[0];
      EXPECT_TRUE(x.bias.isfinite().all().item<bool>()) << method;
      ASSERT_TRUE(at::equal(x.positions, y.positions)) << method << " layer " << l;
      EXPECT_LT((x.values - y.values).norm().item<double>(), 1e-2 * y.values.norm().item<double>())
          << method;
    }
  }
}

/// What the fits fell back to is counted, said, and stored with the segment.
TEST(FallbackTest, ReachesReportNoteAndSegment) {
  const test::Read r({0, 0}, DType::f32, 100);
  CompactOptions o = test::compact_options("kvzip-fit", 0.3, 50);
  o.builder_options["rho"] = "1e-300";
  StoredQueries queries = capture_queries(r.model, r.cache, o);
  // One row again and again: a Gram matrix of rank one.
  for (LayerQueries& q : queries.layers)
    for (QueryChunk& c : q.chunks) {
      const int64_t n = c.queries.size(1);
      c.queries = c.queries.narrow(1, 0, 1).repeat({1, n, 1});
      if (c.elsewhere.defined()) c.elsewhere = c.elsewhere.narrow(1, 0, 1).repeat({1, n});
    }
  o.queries = &queries;
  KvCache cache = r.cache.clone();
  const CompactReport report = compact(r.model, cache, o);
  EXPECT_GT(report.statistics.at("fit_fallbacks_eigen"), 0);
  double sum = 0;
  for (const char* kind : {"_ridge", "_eigen", "_prior", "_bias"}) {
    const auto found = report.statistics.find(std::string("fit_fallbacks") + kind);
    if (found != report.statistics.end()) sum += found->second;
  }
  EXPECT_EQ(report.statistics.at("fit_fallbacks"), sum);
  EXPECT_TRUE(std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& note) {
    return note.starts_with("numerical fallbacks of fits: ");
  }));
  EXPECT_EQ(cache.segments()[0].statistics.at("fit_fallbacks"), sum);
  for (int64_t l = 0; l < 2; ++l) {
    EXPECT_TRUE(cache.layer(l).segments[0]->values.isfinite().all().item<bool>());
    EXPECT_TRUE(cache.layer(l).segments[0]->bias.isfinite().all().item<bool>());
  }
  // With the queries as they are nothing is to be said.
  o.queries = nullptr;
  o.builder_options.clear();
  KvCache good = r.cache.clone();
  const CompactReport quiet = compact(r.model, good, o);
  EXPECT_EQ(quiet.statistics.at("fit_fallbacks"), 0);
}

}  // namespace
}  // namespace limbeck
