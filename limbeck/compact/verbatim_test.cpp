/// What is protected stays bit for bit, and is no part of what the others are fitted for.
#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/contest.h"
#include "limbeck/compact/read_testing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::Read;

CompactOptions options_for(const std::string& method, double ratio) {
  CompactOptions o = test::compact_options(method, ratio, 50);
  o.span = PositionRange{6, 84};
  return o;
}

TEST(VerbatimTest, ProtectedSlotsAreNeverFittedNorPolished) {
  for (const char* method : {"limbeck", "am-hak", "kvzip-fit"}) {
    Read r({0, 0, 0}, DType::f32, 90);
    const KvCache before = r.cache.clone();
    CompactOptions o = options_for(method, 0.4);
    o.protect = {{20, 28}};
    if (std::string_view(method) == "limbeck") o.polish = 3;
    r.cache.set_protected_ranges({{50, 53}});
    const CompactReport report = compact(r.model, r.cache, o);
    EXPECT_GT(report.statistics.at("fitted_heads"), 0) << method;
    for (int64_t l = 0; l < 3; ++l) {
      int64_t changed = 0;
      for (const PositionRange& range : {PositionRange{20, 28}, PositionRange{50, 53}}) {
        const LayerSegment kept = cache_gather(r.cache, l, range);
        ASSERT_EQ(kept.slots(), 2 * range.size()) << method;
        EXPECT_EQ(kept.bias.abs().max().item<float>(), 0.0F) << method;
        const LayerSegment want = cache_gather(before, l, range);
        EXPECT_TRUE(at::equal(kept.values, want.values)) << method;
        EXPECT_TRUE(at::equal(kept.keys, want.keys)) << method;
      }
      const LayerSegment kept = cache_gather(r.cache, l, {6, 84});
      for (int64_t i = 0; i < kept.slots(); ++i)
        changed += kept.bias[i].item<float>() != 0.0F ? 1 : 0;
      EXPECT_GT(changed, 0) << method;
    }
  }
}

/// What stands for the other slots is what would stand for them if the protected ones were not in
/// the span.
TEST(VerbatimTest, TheFitBesideVerbatimSlotsIsTheFitWithoutThem) {
  Read r({0, 0, 0}, DType::f32, 90);
  const LayerQueries queries = [&] {
    LayerQueries out;
    for_each_query_layer(r.model, r.cache, {6, 84},
                         reference_suffixes(r.model, r.cache, {6, 84}, options_for("am-hak", 0.3)),
                         [&](const LayerQueries& q) -> LayerAnswer {
                           if (q.layer == 1) out = q;
                           return {};
                         });
    return out;
  }();
  const LayerSegment slots = cache_gather(r.cache, 1, {6, 84});
  const std::vector<std::vector<int32_t>> kept = {{0, 3, 9, 10, 20, 41, 60}, {3, 8, 9, 10, 33}},
                                          verbatim = {{9, 10}, {9, 10}},
                                          open = {{0, 3, 18, 39, 58}, {3, 8, 31}};
  LayerSegment others = slots;  // without positions 15 and 16
  {
    std::vector<int64_t> rows;
    others.offsets = {0};
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = slots.offsets[h]; i < slots.offsets[h + 1]; ++i)
        if (i - slots.offsets[h] != 9 && i - slots.offsets[h] != 10) rows.push_back(i);
      others.offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    others = segment_gather(slots, at::tensor(rows, at::kLong), others.offsets);
  }
  for (const char* name : {"fit", "fit-literal"}) {
    const auto builder = make_builder(name);
    BuildInput whole{1, &slots, kept, &queries, nullptr};
    whole.verbatim = verbatim;
    const BuildInput part{1, &others, open, &queries, nullptr};
    for (int64_t h = 0; h < 2; ++h) {
      const auto got = builder->fit(whole, h), want = builder->fit(part, h);
      ASSERT_TRUE(got && want);
      int64_t next = 0;
      for (size_t i = 0; i < kept[h].size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        if (kept[h][i] == 9 || kept[h][i] == 10) {
          EXPECT_EQ(got->bias[at].item<float>(), 0.0F);
          EXPECT_TRUE(at::equal(got->values[at], slots.values[slots.offsets[h] + kept[h][i]]));
          continue;
        }
        EXPECT_NEAR(got->bias[at].item<double>(), want->bias[next].item<double>(), 1e-3) << name;
        EXPECT_LT(test::max_difference(got->values[at], want->values[next]), 1e-3) << name;
        ++next;
      }
    }
  }
}

}  // namespace
}  // namespace limbeck
