#include "limbeck/base/error.h"
#include "limbeck/compact/build/builder.h"
#include "limbeck/compact/methods/presets.h"
#include "limbeck/compact/polish.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/compact/score/head_problem.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace limbeck {
namespace {

constexpr int64_t kText = 90;

/// A model of full layers that has read kText tokens, and options for compacting that.
struct Read : test::Read {
  Read() : test::Read({0, 0, 0}, DType::f32, kText) {}
  static CompactOptions options(const std::string& method, double ratio) {
    CompactOptions o = test::compact_options(method, ratio, 50);
    o.span = PositionRange{6, 84};
    return o;
  }
};

size_t span_index(const KvCache& cache) {
  for (size_t i = 0; i < cache.segments().size(); ++i)
    if (cache.segments()[i].state == SpanState::compacted) return i;
  throw InternalError("nothing compacted");
}

const SegmentInfo& span_info(const KvCache& cache) { return cache.segments()[span_index(cache)]; }

/// The segment of the span in a layer of a compacted cache.
const LayerSegment& span_segment(const KvCache& cache, int64_t layer) {
  return *cache.layer(layer).segments[span_index(cache)];
}

TEST(FittedMethodsTest, BiasAndValuesChangeKeysStay) {
  for (const char* method : {"limbeck", "wpc", "am-hak", "am-omp", "am-omp-fast", "kvzip-fit"}) {
    Read r;
    const KvCache before = r.cache.clone();
    const CompactReport report = compact(r.model, r.cache, Read::options(method, 0.3));
    EXPECT_GT(report.statistics.at("fitted_heads"), 0) << method;
    for (int64_t l = 0; l < 3; ++l) {
      const LayerSegment &kept = span_segment(r.cache, l), all = cache_gather(before, l, {6, 84});
      ASSERT_TRUE(kept.bias.defined()) << method;
      EXPECT_TRUE(kept.bias.isfinite().all().item<bool>());
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = kept.offsets[h]; i < kept.offsets[h + 1]; ++i) {
          const int64_t source = all.offsets[h] + kept.positions[i].item<int32_t>() - 6;
          EXPECT_TRUE(at::equal(kept.keys[i], all.keys[source]));
        }
    }
  }
}

TEST(FittedMethodsTest, AFitIsCloserToTheFullCacheThanItsCopiedEntries) {
  const auto distance = [](const std::string& method) {
    Read r;
    KvCache compacted = r.cache.clone();
    compact(r.model, compacted, Read::options(method, 0.3));
    return test::divergence(r.model, r.cache.clone(), std::move(compacted));
  };
  EXPECT_LT(distance("kvzip-fit"), distance("kvzip"));
  EXPECT_LT(distance("limbeck"), distance("kvzip"));
}

TEST(FittedMethodsTest, StoredQueriesGiveWhatTheOwnPassGives) {
  for (const char* method : {"limbeck", "wpc", "kvzip", "am-hak"}) {
    Read a, b;
    compact(a.model, a.cache, Read::options(method, 0.3));
    CompactOptions o = Read::options(method, 0.3);
    const StoredQueries queries = capture_queries(b.model, b.cache, o);
    o.queries = &queries;
    compact(b.model, b.cache, o);
    // A method that attends to the span itself spares the model that: the same up to rounding.
    for (int64_t l = 0; l < 3; ++l) {
      const LayerSegment &x = span_segment(a.cache, l), &y = span_segment(b.cache, l);
      ASSERT_TRUE(at::equal(x.positions, y.positions)) << method;
      // Of the whole: least squares without a ridge, as published, have values of some hundred
      // beside others of one, and all err alike.
      EXPECT_LT((x.values - y.values).norm().item<double>(), 1e-3 * y.values.norm().item<double>())
          << method;
      if (x.bias.defined()) {
        EXPECT_TRUE(at::allclose(x.bias, y.bias, 1e-3, 1e-3)) << method;
      }
    }
  }
}

/// One pass equals running the compacted layers again.
TEST(FittedMethodsTest, OnPolicyFitsUseTheQueriesThatCompactLayersCause) {
  Read r;
  const KvCache before = r.cache.clone();
  CompactOptions o = Read::options("kvzip-fit", 0.3);
  o.on_policy = true;
  compact(r.model, r.cache, o);

  // A cache whose layers 0 and 1 are the compact ones, layer 2 as it was.
  KvCache mixed = r.cache.clone();
  size_t index = 0;
  while (mixed.segments()[index].state != SpanState::compacted) ++index;
  KvCache::NewSegment segment{mixed.segments()[index], {}};
  for (int64_t l = 0; l < 3; ++l) segment.layers.push_back(mixed.layer(l).segments[index]);
  const LayerSegment slots = cache_gather(before, 2, {6, 84});
  segment.layers[2] = std::make_shared<LayerSegment>(slots);
  mixed.replace_segments(static_cast<int64_t>(index), static_cast<int64_t>(index) + 1,
                         {std::move(segment)});
  const LayerQueries queries = capture_queries(r.model, mixed, o).layers[2];

  const LayerSegment& got = span_segment(r.cache, 2);
  std::vector<std::vector<int32_t>> kept(2);
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t i = got.offsets[h]; i < got.offsets[h + 1]; ++i)
      kept[h].push_back(got.positions[i].item<int32_t>() - 6);
  BuildStatistics statistics;
  const LayerSegment want = make_builder("fit")->build({2, &slots, kept, &queries}, statistics);
  EXPECT_LT(test::max_difference(got.bias, want.bias), 1e-3);
  EXPECT_LT(test::max_difference(got.values, want.values), 1e-3);

  Read off;
  o.on_policy = false;
  compact(off.model, off.cache, o);
  EXPECT_GT(test::max_difference(got.values, span_segment(off.cache, 2).values), 1e-4);
}

TEST(FittedMethodsTest, APartOfTheRowsSeesWhatTheseRowsSeeAmongAll) {
  Read r;
  const LayerQueries all =
      capture_queries(r.model, r.cache, Read::options("limbeck", 0.3)).layers[1];
  const LayerQueries part = all.subset(70, 2);
  ASSERT_LT(part.tokens(), all.tokens());
  std::vector<int64_t> index;  // of the part's rows among all, a query head's
  int64_t first = 0;
  for (size_t c = 0, p = 0; c < all.chunks.size(); ++c) {
    if (p < part.chunks.size() && part.chunks[p].chunk == all.chunks[c].chunk)
      for (int32_t row : part.chunks[p++].rows) index.push_back(first + row);
    first += all.chunks[c].queries.size(1);
  }
  ASSERT_EQ(static_cast<int64_t>(index.size()), part.tokens());
  const int64_t group = all.chunks[0].queries.size(0) / 2;
  std::vector<int64_t> rows;
  for (int64_t g = 0; g < group; ++g)
    for (int64_t i : index) rows.push_back(g * all.tokens() + i);

  const LayerSegment slots = cache_gather(r.cache, 1, {6, 84});
  const auto whole = layer_attention(slots, all, mass_elsewhere(all, 2)),
             few = layer_attention(slots, part, mass_elsewhere(part, 2));
  for (int64_t h = 0; h < 2; ++h) {
    const at::Tensor which = at::tensor(rows, at::kLong);
    EXPECT_TRUE(at::allclose(few[h].lse, whole[h].lse.index_select(0, which), 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(few[h].part, whole[h].part.index_select(0, which), 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(few[h].outputs, whole[h].outputs.index_select(0, which), 1e-4, 1e-5));
  }
}

TEST(FittedMethodsTest, ACompactionFitsFromAPartOfTheRowsWhenThereAreTooMany) {
  // More than the 4,096 rows that the scorer of the second stage asks for.
  const int64_t length = 2200;
  ModelSpec spec = test::small_spec({0, 0});
  spec.context_length = 3 * length;
  const Model model = random_model(spec, DType::f32, 21);
  KvCache cache = model.new_cache();
  prefill(model, cache, test::random_tokens(length, 4));
  const KvCache before = cache.clone();
  CompactOptions o = test::compact_options("limbeck", 0.03, 1100);
  const StoredQueries queries = capture_queries(model, cache, o);
  o.builder_options["limit"] = "1";
  o.queries = &queries;
  compact(model, cache, o);
  for (int64_t l = 0; l < 2; ++l) {
    const LayerQueries part = queries.layers[l].subset(4096, 2);
    ASSERT_LT(part.tokens(), queries.layers[l].tokens());
    const LayerSegment &got = span_segment(cache, l), slots = cache_gather(before, l, {0, length});
    std::vector<std::vector<int32_t>> kept(2);
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = got.offsets[h]; i < got.offsets[h + 1]; ++i)
        kept[h].push_back(got.positions[i].item<int32_t>());
    const auto seen = layer_attention(slots, part, mass_elsewhere(part, 2));
    BuildStatistics statistics;
    const LayerSegment want =
        make_builder("fit")->build({l, &slots, kept, &part, &seen}, statistics);
    // Products at the fit's precision round differently on one thread and on several; other rows
    // give biases and values that are off by some units.
    EXPECT_LT(test::max_difference(got.bias, want.bias), 0.02);
    EXPECT_LT(test::max_difference(got.values, want.values), 0.02);
  }
}

TEST(FittedMethodsTest, MoreSourcesOfQueriesChangeTheFit) {
  Read plain;
  compact(plain.model, plain.cache, Read::options("limbeck", 0.3));
  const auto differs = [&](auto&& change) {
    Read r;
    CompactOptions o = Read::options("limbeck", 0.3);
    change(o);
    compact(r.model, r.cache, o);
    EXPECT_EQ(r.cache.logical_length(), kText);
    return !at::equal(span_segment(plain.cache, 1).values, span_segment(r.cache, 1).values);
  };
  EXPECT_FALSE(differs([](CompactOptions&) {}));
  EXPECT_TRUE(differs([](CompactOptions& o) { o.prefill_queries = true; }));
  EXPECT_TRUE(differs([](CompactOptions& o) { o.sampled_tokens = 8; }));
  EXPECT_TRUE(differs([](CompactOptions& o) {
    o.references.push_back({test::random_tokens(20, 9), {6, 84}, 2.0});
  }));
}

TEST(FittedMethodsTest, PolishLowersTheLossItTrainsOnAndKeepsKeysAndPositions) {
  Read plain, r;
  CompactOptions o = Read::options("limbeck", 0.2);
  compact(plain.model, plain.cache, o);
  o.polish = 6;
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_LT(report.statistics.at("polish_kl_after"), report.statistics.at("polish_kl_before"));
  for (int64_t l = 0; l < 3; ++l) {
    const LayerSegment &a = span_segment(plain.cache, l), &b = span_segment(r.cache, l);
    EXPECT_TRUE(at::equal(a.keys, b.keys) && at::equal(a.positions, b.positions));
    EXPECT_FALSE(at::equal(a.bias, b.bias));
    EXPECT_FALSE(b.bias.requires_grad() || b.values.requires_grad());
  }
  EXPECT_EQ(r.cache.logical_length(), kText);
}

TEST(FittedMethodsTest, PolishReturnsTheBestItSawTheStartIncluded) {
  Read r;
  const KvCache full = r.cache.clone();
  compact(r.model, r.cache, Read::options("limbeck", 0.2));
  const auto segment = static_cast<int64_t>(span_index(r.cache));
  const std::vector<ReferenceSuffix> suffixes = {{test::random_tokens(30, 9), {6, 84}, 1.0}};
  const auto polished = [&](int64_t steps, double rate, PolishReport* report) {
    KvCache out = r.cache.clone();
    PolishOptions o;
    o.steps = steps;
    o.bias_rate = o.value_rate = rate;
    o.block = 13;
    *report = polish(r.model, full, out, segment, suffixes, o);
    return out;
  };
  PolishReport wild, once;
  const KvCache kept = polished(3, 30.0, &wild);
  EXPECT_EQ(wild.after, wild.before);
  for (int64_t l = 0; l < 3; ++l) {
    EXPECT_TRUE(at::equal(span_segment(kept, l).values, span_segment(r.cache, l).values));
    EXPECT_TRUE(at::equal(span_segment(kept, l).bias, span_segment(r.cache, l).bias));
  }
  // What one step left is what the next training starts from: the last step counts.
  KvCache better = polished(1, 0.03, &once);
  EXPECT_EQ(once.before, wild.before);
  EXPECT_LT(once.after, once.before);
  PolishOptions o;
  o.steps = 1;
  o.block = 13;
  EXPECT_NEAR(polish(r.model, full, better, segment, suffixes, o).before, once.after,
              1e-4 * once.after);
}

TEST(FittedMethodsTest, PolishNeedsWhatFollowsTheTextAndSegmentsSayWhatWasUsed) {
  Read r;
  CompactOptions o = Read::options("limbeck", 0.3);
  compact(r.model, r.cache, o);
  EXPECT_EQ(span_info(r.cache).options.count("queries"), 0U);
  Read mixed;
  o.prefill_queries = true;
  o.sampled_tokens = 8;
  o.polish = 1;
  compact(mixed.model, mixed.cache, o);
  EXPECT_EQ(span_info(mixed.cache).options.at("queries"), "excerpts 128,sampled 8,prefill");
  EXPECT_EQ(span_info(mixed.cache).options.at("polish"), "1");
  Read own;
  const KvCache before = own.cache.clone();
  o.sampled_tokens = 0;
  o.repeat = {};
  EXPECT_THROW(compact(own.model, own.cache, o), InvalidArgument);
  EXPECT_TRUE(cache_equal(before, own.cache));
  for (const PositionRange span : {PositionRange{6, 1000}, {20, 20}, {-4, 30}}) {
    o = Read::options("limbeck", 0.3);
    o.polish = 1;
    o.span = span;
    EXPECT_THROW(compact(own.model, own.cache, o), InvalidArgument) << span.begin;
    EXPECT_TRUE(cache_equal(before, own.cache));
  }
  // What nothing reads is not recorded.
  o = Read::options("keydiff", 0.3);
  o.sources = QuerySources{.repeat = true};
  compact(own.model, own.cache, o);
  EXPECT_EQ(span_info(own.cache).options.count("queries"), 0U);
}

TEST(FittedMethodsTest, PolishMeasuresAllStatesAlikeInBf16) {
  test::Read r({0, 0}, DType::bf16, kText);
  const KvCache full = r.cache.clone();
  compact(r.model, r.cache, Read::options("limbeck", 0.2));
  const auto segment = static_cast<int64_t>(span_index(r.cache));
  const std::vector<ReferenceSuffix> suffixes = {{test::random_tokens(30, 9), {6, 84}, 3.0},
                                                 {test::random_tokens(20, 10), {6, 84}, 1.0}};
  PolishOptions o;
  o.steps = 1;
  o.bias_rate = o.value_rate = 0;  // nothing moves
  KvCache still = r.cache.clone();
  const PolishReport same = polish(r.model, full, still, segment, suffixes, o);
  EXPECT_EQ(same.after, same.before);
  o.steps = 3;
  o.bias_rate = o.value_rate = 0.03;
  const PolishReport better = polish(r.model, full, still, segment, suffixes, o);
  EXPECT_EQ(better.before, same.before);
  EXPECT_LE(better.after, better.before);
  // No number after the first step: the start is what there is.
  o.bias_rate = o.value_rate = std::numeric_limits<double>::infinity();
  KvCache wild = r.cache.clone();
  const PolishReport lost = polish(r.model, full, wild, segment, suffixes, o);
  EXPECT_EQ(lost.diverged_at, 1);
  EXPECT_EQ(lost.after, lost.before);
  EXPECT_TRUE(at::equal(span_segment(wild, 1).values, span_segment(r.cache, 1).values));
}

TEST(FittedMethodsTest, WhatIsCompactStaysWhenOnlyTheNewIsAskedFor) {
  Read r;
  CompactOptions o = Read::options("limbeck", 0.5);
  compact(r.model, r.cache, o);
  const LayerSegment* first = &span_segment(r.cache, 1);
  prefill(r.model, r.cache, test::random_tokens(40, 11));
  o.span = PositionRange{6, 130};
  o.only_new = true;
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_FALSE(report.heads.empty());
  EXPECT_EQ(report.statistics.at("fitted_heads"), static_cast<double>(report.heads.size()));
  EXPECT_EQ(&span_segment(r.cache, 1), first);
  EXPECT_EQ(report.entries_before, 3 * 2 * (130 - 84));
  EXPECT_EQ(r.cache.logical_length(), 130);
  EXPECT_THROW(compact(r.model, r.cache, o), InvalidArgument);  // nothing new is left
}

TEST(FittedMethodsTest, ACompactedSpanCanBeCompactedAgainWithItsBiases) {
  Read r;
  CompactOptions o = Read::options("limbeck", 0.5);
  compact(r.model, r.cache, o);
  const CompactReport again = compact(r.model, r.cache, o);
  EXPECT_NEAR(again.achieved_ratio, 0.5, 0.02);
  const LayerSegment& kept = span_segment(r.cache, 0);
  EXPECT_TRUE(kept.bias.isfinite().all().item<bool>());
  // About a quarter of the slots stands for all tokens: log 4 each, on the average.
  EXPECT_GT(kept.bias.mean().item<double>(), 0.3);
}

TEST(FittedMethodsTest, HalfOfTheTextIsWhatIsCopiedNotHalfOfWhatIsLeft) {
  Read r;
  CompactOptions o = Read::options("limbeck", 0.5);
  compact(r.model, r.cache, o);
  o.ratio = 0.8;  // of what is left: two fifths of the text
  EXPECT_GT(compact(r.model, r.cache, o).statistics.at("fitted_heads"), 0);
  Read whole;
  o = Read::options("kvzip-fit", 0.8);
  o.allocator = "uniform";
  EXPECT_FALSE(compact(whole.model, whole.cache, o).statistics.contains("fitted_heads"));
}

/// arXiv 2602.16284, the settings of the table of its methods; docs/methods.md says how to add
/// self-study, on-policy fits and a schedule of budgets.
TEST(FittedMethodsTest, PublishedPresetsHaveTheirPublishedSettings) {
  const auto defaults = [](const std::vector<FieldInfo>& fields) {
    std::map<std::string, std::string> out;
    for (const FieldInfo& f : fields) out[f.name] = f.default_value;
    return out;
  };
  const auto fit = defaults(describe_literal_builder()), omp = defaults(describe_omp_scorer());
  EXPECT_EQ(fit.at("iterations"), "0");
  EXPECT_EQ(fit.at("low"), "1e-12");
  EXPECT_DOUBLE_EQ(std::stod(fit.at("high")), std::exp(7.0));
  EXPECT_EQ(fit.at("values"), "ls");
  EXPECT_EQ(fit.at("rows"), "50000");
  EXPECT_EQ(omp.at("pace"), "1/1");
  EXPECT_EQ(omp.at("drop"), "-7");
  const Preset hak = find_preset("am-hak"), pursuit = find_preset("am-omp"),
               fast = find_preset("am-omp-fast");
  EXPECT_EQ(hak.stages[0].options, (OptionTexts{{"reduce", "rms"}}));
  EXPECT_EQ(hak.builder_options.at("iterations"), "2");
  EXPECT_DOUBLE_EQ(std::stod(hak.builder_options.at("low")), std::exp(-3.0));
  EXPECT_DOUBLE_EQ(std::stod(hak.builder_options.at("high")), std::exp(3.0));
  EXPECT_TRUE(pursuit.stages[0].options.empty() && pursuit.builder_options.empty());
  EXPECT_EQ(fast.stages[0].options, (OptionTexts{{"pace", "4/2"}}));
  for (const Preset& p : {hak, pursuit, fast}) {
    EXPECT_EQ(p.builder, "fit-literal") << p.name;
    EXPECT_EQ(p.stages[0].allocator, "uniform") << p.name;
    EXPECT_EQ(p.stages.size(), 1U) << p.name;
  }
}

TEST(FittedMethodsTest, SharesGivePublishedFitsNoMoreThanTheirCap) {
  Read r;
  CompactOptions o = Read::options("am-hak", 0.3);
  o.allocator = "table";
  o.head_shares = {"shares", "manual", {}, {}, 3, 2, {0.95, 0.01, 0.01, 0.01, 0.01, 0.01}};
  const CompactReport published = compact(r.model, r.cache, o);
  Read again;
  o.builder = "fit";
  const CompactReport ours = compact(again.model, again.cache, o);
  EXPECT_EQ(published.kept[0], published.span.size() * 3 / 4);
  EXPECT_GT(ours.kept[0], published.kept[0]);
  EXPECT_EQ(published.entries_after, ours.entries_after);
}

TEST(FittedMethodsTest, ABudgetOfEverythingCopiesEverything) {
  for (const std::string method : {"am-omp", "wpc", "limbeck", "am-omp in pieces"}) {
    Read r;
    KvCache before = r.cache.clone();
    CompactOptions o = Read::options(method.substr(0, method.find(' ')), 0.5);
    o.ratio = {};
    o.budget = 10000;
    if (method.ends_with("pieces")) o.chunk = 30;
    const CompactReport report = compact(r.model, r.cache, o);
    EXPECT_EQ(report.entries_after, report.entries_before) << method;
    const PositionRange all{0, before.logical_length()};
    ASSERT_EQ(r.cache.logical_length(), all.end);
    for (int64_t l = 0; l < r.cache.shape().layer_count(); ++l) {
      const LayerSegment a = cache_gather(before, l, all), b = cache_gather(r.cache, l, all);
      EXPECT_FALSE(b.bias.defined() && b.bias.count_nonzero().item<int64_t>() > 0) << method;
      EXPECT_TRUE(at::equal(a.keys, b.keys) && at::equal(a.values, b.values)) << method;
      EXPECT_TRUE(at::equal(a.positions, b.positions)) << method;
    }
  }
}

std::string refusal(const CompactOptions& o) {
  Read r;
  try {
    compact(r.model, r.cache, o);
  } catch (const InvalidArgument& e) {
    return e.what();
  }
  return "none";
}

TEST(FittedMethodsTest, OptionsThatNobodyReadsAreRefused) {
  CompactOptions o = Read::options("am-hak", 0.3);
  o.head_shares = {"shares", "manual", {}, {}, 3, 2, {0.5, 0.1, 0.1, 0.1, 0.1, 0.1}};
  EXPECT_EQ(refusal(o),
            "[compact] head_shares are read by the allocator \"table\"; found \"uniform\"");
  o = Read::options("kvzip", 0.3);
  o.on_policy = true;
  EXPECT_EQ(refusal(o),
            "[compact] on_policy refits the kept slots; the builder \"copy\" fits none");
  o = Read::options("wpc", 0.3);
  o.normalize = "zscore";
  EXPECT_EQ(refusal(o),
            "[compact] normalize would lose the order of \"wpc\" scores, which are on one scale "
            "already; leave it out");
  o = Read::options("am-hak", 0.3);
  o.builder_options = {{"low", "2"}, {"high", "1"}};
  EXPECT_EQ(refusal(o), "[fit-literal] low must be at most high; found 2 and 1");
  o.builder_options = {{"low", "0"}};
  EXPECT_NE(refusal(o), "none");
}

TEST(FittedMethodsTest, ReconstructionSpendsTheBudgetOfEachHead) {
  Read r;
  CompactOptions o = Read::options("wpc", 0.2);
  o.allocator = "table";  // the first head has almost five times the mean
  o.head_shares = {"shares", "manual", {}, {}, 3, 2, {0.75, 0.05, 0.05, 0.05, 0.05, 0.05}};
  const CompactReport report = compact(r.model, r.cache, o);
  // Beyond `reach` times the mean, where orders of heads that compete end.
  EXPECT_GT(report.kept[0], 1.1 * 3 * static_cast<double>(report.entries_after) / 6);
}

TEST(FittedMethodsTest, ABudgetIsOneOfAllPiecesAndOfAllThatIsNew) {
  Read r;
  CompactOptions o = Read::options("knorm", 0.5);
  o.ratio = {};
  o.budget = 20;
  o.chunk = 30;
  const CompactReport report = compact(r.model, r.cache, o);
  const double asked = 20.0 * 6 / static_cast<double>(report.entries_before);
  EXPECT_NEAR(report.requested_ratio, asked, 1e-12);
  EXPECT_EQ(report.entries_after, 20 * 6);
  for (const SegmentInfo& s : r.cache.segments())
    if (s.state == SpanState::compacted) {
      EXPECT_NEAR(s.requested_ratio, asked, 0.1);
    }
  // Two runs of what is new around one that was compacted before.
  Read parts;
  const int64_t length = parts.cache.logical_length();
  CompactOptions middle = Read::options("knorm", 0.5);
  middle.span = PositionRange{30, 40};
  compact(parts.model, parts.cache, middle);
  CompactOptions rest = Read::options("knorm", 0.5);
  rest.ratio = {};
  rest.budget = 20;
  rest.only_new = true;
  rest.span = PositionRange{0, length};
  EXPECT_EQ(compact(parts.model, parts.cache, rest).entries_after, 20 * 6);
}

TEST(FittedMethodsTest, BudgetsFromATable) {
  Read r;
  CompactOptions o = Read::options("am-hak", 0.3);
  o.allocator = "table";
  o.head_shares = {"shares", "manual", {}, {}, 3, 2, {0.5, 0.1, 0.1, 0.1, 0.1, 0.1}};
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_EQ(report.entries_after, 6 * 23);
  EXPECT_GT(report.kept[0], 2 * report.kept[1]);
  o.head_shares = {};
  Read again;
  EXPECT_THROW(compact(again.model, again.cache, o), InvalidArgument);
}

TEST(FittedMethodsTest, PiecesAreFittedByTheirOwnQueries) {
  Read r;
  CompactOptions o = Read::options("limbeck", 0.4);
  o.chunk = 26;
  const CompactReport report = compact(r.model, r.cache, o);
  EXPECT_EQ(report.entries_after, 6 * 31);
  // Every head of every piece that a fit changed; counts are sums, errors means over them.
  EXPECT_GT(report.heads.size(), 6U);
  EXPECT_EQ(report.statistics.at("fitted_heads"), static_cast<double>(report.heads.size()));
  double mass = 0;
  for (const HeadErrors& e : report.heads)
    mass += e.mass / static_cast<double>(report.heads.size());
  const bool held = report.statistics.contains("held_out_mass_error");
  EXPECT_NEAR(report.statistics.at(held ? "held_out_mass_error" : "in_sample_mass_error"), mass,
              1e-12);
  int compacted = 0;
  for (const SegmentInfo& s : r.cache.segments()) compacted += s.state == SpanState::compacted;
  EXPECT_EQ(compacted, 3);
}

}  // namespace
}  // namespace limbeck
