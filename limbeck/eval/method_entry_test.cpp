#include "limbeck/eval/method_entry.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(MethodEntryTest, ReadsEveryKindOfPart) {
  const MethodEntry m = parse_method_entry(
      "kvzip:scorer.sinks=4:builder.low=0.5:scorer=knorm:alloc=uniform:builder=copy:"
      "normalize=rank:on-policy=1:head-weights=a.json:head-shares=b.json");
  EXPECT_EQ(m.options.method, "kvzip");
  EXPECT_EQ(m.options.scorer_options, (OptionTexts{{"sinks", "4"}}));
  EXPECT_EQ(m.options.builder_options, (OptionTexts{{"low", "0.5"}}));
  EXPECT_EQ(m.options.scorer, "knorm");
  EXPECT_EQ(m.options.allocator, "uniform");
  EXPECT_EQ(m.options.builder, "copy");
  EXPECT_EQ(m.options.normalize, "rank");
  EXPECT_TRUE(m.options.on_policy);
  EXPECT_EQ(m.head_weights, "a.json");
  EXPECT_EQ(m.head_shares, "b.json");
  EXPECT_EQ(parse_method_entry("knorm:after=0.5+0.25").after, (std::vector<double>{0.5, 0.25}));
  EXPECT_FALSE(m.options.sources.has_value());
  EXPECT_EQ(parse_method_entry("limbeck:queries=repeat+excerpts").options.sources,
            (QuerySources{.repeat = true, .excerpts = kExcerptTokens}));
  EXPECT_EQ(parse_method_entry("limbeck:queries=excerpts=32").options.sources,
            (QuerySources{.repeat = false, .excerpts = 32}));
  const MethodEntry study = parse_method_entry("am-omp:queries=repeat+selfstudy");
  EXPECT_TRUE(study.self_study);
  EXPECT_EQ(study.options.sources, QuerySources{});
  EXPECT_TRUE(parse_method_entry("am-omp:queries=selfstudy").self_study);
  const MethodEntry all =
      parse_method_entry("am-hak:queries=repeat+prefill+sampled=32:sampled-weight=2.5:chunk=1024");
  EXPECT_TRUE(all.options.sources->repeat);
  EXPECT_TRUE(all.options.prefill_queries);
  EXPECT_EQ(all.options.sampled_tokens, 32);
  EXPECT_EQ(all.options.sampled_weight, 2.5);
  EXPECT_EQ(all.options.chunk, 1024);
  const MethodEntry own = parse_method_entry("am-hak:queries=prefill");
  EXPECT_FALSE(own.options.sources->repeat);
  EXPECT_EQ(own.options.sampled_tokens, 0);
  EXPECT_EQ(parse_method_entry("am-hak:queries=sampled").options.sampled_tokens, kSampledTokens);
  EXPECT_EQ(parse_method_entry("knorm:allocator=model").label, "knorm:allocator=model");
  const MethodEntry safe = parse_method_entry("snapkv+fit:alloc=adakv:allocator.safe=0.3");
  EXPECT_EQ(safe.options.method, "snapkv+fit");
  EXPECT_EQ(safe.options.allocator_options, (OptionTexts{{"safe", "0.3"}}));
}

TEST(MethodEntryTest, RefusesUnknownPresetsKeysAndParts) {
  EXPECT_THROW(parse_method_entry(""), InvalidArgument);
  EXPECT_THROW(parse_method_entry("no-such-method"), InvalidArgument);
  EXPECT_THROW(parse_method_entry("no-such-method+fit"), InvalidArgument);
  EXPECT_THROW(parse_method_entry("kvzip:on-policy=maybe"), InvalidArgument);
  for (const char* after : {"0.2+0.5", "0.5+0.5", "0", "1.5", "half"})
    EXPECT_THROW(parse_method_entry(std::string("kvzip:after=") + after), InvalidArgument);
  for (const char* queries : {"", "prefil", "prefill=2", "excerpts=0", "excerpts=-1", "sampled=0",
                              "sampled=few", "repeat=3"})
    EXPECT_THROW(parse_method_entry(std::string("kvzip:queries=") + queries), InvalidArgument)
        << queries;
  EXPECT_EQ(test::error_text<InvalidArgument>([] { parse_method_entry("kvzip:copy"); }),
            "[eval] method kvzip:copy: a part behind ':' must be key=value; found \"copy\"");
  EXPECT_TRUE(test::error_text<InvalidArgument>([] {
                parse_method_entry("kvzip:ratio=1");
              }).starts_with("[eval] method kvzip:ratio=1: unknown key \"ratio\"; known: "));
}

TEST(MethodEntryTest, CoverageAndStreamingHeads) {
  const MethodEntry m = parse_method_entry(
      "limbeck:coverage=snapkv:coverage-allocator=adakv:coverage.window=16:"
      "coverage-allocator.safe=0.4");
  EXPECT_EQ(m.options.coverage, "snapkv");
  EXPECT_EQ(m.options.coverage_allocator, "adakv");
  EXPECT_EQ(m.options.coverage_options, (OptionTexts{{"window", "16"}}));
  EXPECT_EQ(m.options.coverage_allocator_options, (OptionTexts{{"safe", "0.4"}}));

  MethodEntry heads =
      parse_method_entry("streaming-heads:heads=g.tsv:sinks=4:window=16:chunk-mask=window");
  EXPECT_TRUE(heads.streaming_only);
  EXPECT_EQ(heads.heads, "g.tsv");
  heads.gates.kind = "gates";
  heads.gates.layers = 2;
  heads.gates.kv_heads = 5;
  heads.gates.values = {.1, .2, .3, .4, .5, .6, .7, .8, .9, 1};
  // 1 - h (1 - 20 / 100) = 0.36.
  const HeadPattern p = method_pattern(heads, 100, 0.36);
  EXPECT_DOUBLE_EQ(p.sparsity(), 0.8);
  EXPECT_EQ(p.mask, ChunkMask::window);
  EXPECT_DOUBLE_EQ(method_pattern(heads, 100, 1.0).sparsity(), 0.0);
  EXPECT_DOUBLE_EQ(method_pattern(heads, 100, 0.05).sparsity(), 1.0);
  EXPECT_THROW(method_pattern(heads, 20, 0.5), InvalidArgument);
  MethodEntry fixed = parse_method_entry("kvzip:heads=g.tsv:sparsity=0.5");
  fixed.gates = heads.gates;
  EXPECT_DOUBLE_EQ(method_pattern(fixed, 100, 0.2).sparsity(), 0.5);
  for (const char* bad : {"streaming-heads", "kvzip:heads=g.tsv", "kvzip:sparsity=0.5",
                          "kvzip:heads=g.tsv:sparsity=0.5:after=0.5", "kvzip:chunk-mask=half"})
    EXPECT_THROW(parse_method_entry(bad), InvalidArgument) << bad;
}

TEST(MethodEntryTest, FingerprintSeesWhatDecides) {
  const auto of = [](const std::string& entry) {
    return method_fingerprint(parse_method_entry(entry));
  };
  EXPECT_EQ(of("kvzip"), of("kvzip"));
  EXPECT_EQ(of("kvzip:alloc=uniform"), of("kvzip:allocator=uniform"));
  EXPECT_NE(of("kvzip"), of("knorm"));
  EXPECT_NE(of("kvzip:scorer.a=b"), of("kvzip:builder.a=b"));
  EXPECT_NE(of("kvzip:allocator.a=b"), of("kvzip:builder.a=b"));
  EXPECT_NE(of("kvzip:allocator.a=b"), of("kvzip"));
  EXPECT_NE(of("kvzip+fit"), of("kvzip"));
  EXPECT_NE(of("limbeck:coverage=snapkv"), of("limbeck"));
  EXPECT_NE(of("limbeck:coverage.window=3"), of("limbeck:coverage-allocator.window=3"));
  EXPECT_NE(of("kvzip:heads=g.tsv:sparsity=0.5"), of("kvzip:heads=g.tsv:sparsity=0.4"));
  EXPECT_NE(of("kvzip:heads=g.tsv:sparsity=0.5"), of("kvzip"));
  MethodEntry weighted = parse_method_entry("kvzip");
  weighted.options.head_weights.values = {1.0, 2.0};
  EXPECT_NE(method_fingerprint(weighted), of("kvzip"));
  const auto with = [](auto change) {
    MethodEntry entry = parse_method_entry("kvzip");
    change(entry.options);
    return method_fingerprint(entry);
  };
  EXPECT_EQ(with([](CompactOptions&) {}), of("kvzip"));
  EXPECT_NE(with([](CompactOptions& o) { o.prefill_queries = true; }), of("kvzip"));
  EXPECT_NE(with([](CompactOptions& o) { o.sampled_tokens = 8; }), of("kvzip"));
  EXPECT_NE(with([](CompactOptions& o) { o.chunk = 512; }), of("kvzip"));
}

}  // namespace
}  // namespace limbeck
