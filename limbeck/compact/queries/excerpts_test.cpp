#include "limbeck/compact/queries/excerpts.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

struct Read : test::Read {
  /// A text of the numbers 10, 11, ..., so that a token tells its position.
  explicit Read(int64_t tokens) : test::Read({0}, DType::f32, 6) {
    std::vector<int32_t> text(tokens);
    for (int64_t i = 0; i < tokens; ++i) text[i] = static_cast<int32_t>(10 + i % 80);
    prefill(model, cache, text);
    span = {6, 6 + tokens};
    prompt.excerpts = {1, 2, 3};
    prompt.first = {1};
    prompt.open = {4};
    prompt.close = {5, 6};
  }
  std::vector<ReferenceSuffix> excerpts(int64_t length, int64_t chunk, int64_t seed) {
    return excerpt_suffixes(model, cache, span, prompt, length, chunk, seed);
  }
  PositionRange span;
  RepeatPrompt prompt;
};

/// The passages of all suffixes, without what stands around them.
std::vector<std::vector<int32_t>> passages(const std::vector<ReferenceSuffix>& suffixes,
                                           int64_t chunk) {
  std::vector<std::vector<int32_t>> out;
  for (const ReferenceSuffix& s : suffixes) {
    EXPECT_EQ((std::vector<int32_t>{s.tokens.begin(), s.tokens.begin() + 3}),
              (std::vector<int32_t>{1, 2, 3}));
    EXPECT_LE(static_cast<int64_t>(s.tokens.size()) - 3, chunk);
    EXPECT_EQ(s.chunk.begin, 6);
    for (size_t i = 3; i < s.tokens.size();) {
      EXPECT_EQ(s.tokens[i++], 4);
      out.emplace_back();
      while (s.tokens[i] >= 10) out.back().push_back(s.tokens[i++]);
      EXPECT_EQ(s.tokens[i], 5);
      EXPECT_EQ(s.tokens[i + 1], 6);
      i += 2;
    }
  }
  return out;
}

TEST(ExcerptsTest, PassagesAreConsecutiveAndCoverTheTextOnceBehindTheirLeads) {
  Read r(77);
  for (const auto& [length, chunk] : {std::pair{20, 60}, std::pair{7, 30}, std::pair{30, 1000}}) {
    std::multiset<int32_t> seen, want;
    for (const std::vector<int32_t>& p : passages(r.excerpts(length, chunk, 3), chunk)) {
      for (size_t i = 1; i < p.size(); ++i) EXPECT_EQ(p[i], p[i - 1] + 1);
      seen.insert(p.begin(), p.end());
    }
    for (int64_t at = 0; at < 77; at += length)
      for (int64_t i = std::max<int64_t>(0, at - kExcerptLead);
           i < std::min<int64_t>(77, at + length); ++i)
        want.insert(static_cast<int32_t>(10 + i));
    EXPECT_EQ(seen, want);
  }
}

TEST(ExcerptsTest, TheSeedDrawsTheOrder) {
  Read r(77);
  const auto a = passages(r.excerpts(10, 1000, 3), 1000),
             b = passages(r.excerpts(10, 1000, 4), 1000);
  EXPECT_EQ(a, passages(r.excerpts(10, 1000, 3), 1000));
  EXPECT_NE(a, b);
  auto sorted_a = a, sorted_b = b;
  std::sort(sorted_a.begin(), sorted_a.end());
  std::sort(sorted_b.begin(), sorted_b.end());
  EXPECT_EQ(sorted_a, sorted_b);
  EXPECT_NE(a, sorted_a);
}

TEST(ExcerptsTest, ALongPassageIsCutToTheChunk) {
  Read r(77);
  for (const auto& p : passages(r.excerpts(500, 40, 1), 40)) EXPECT_LE(p.size(), 40U - 3);
  EXPECT_EQ(passages(r.excerpts(500, 1000, 1), 1000).size(), 1U);
}

TEST(ExcerptsTest, RefusesWhatCannotBe) {
  Read r(77);
  EXPECT_THROW(r.excerpts(0, 100, 1), InvalidArgument);
  Read full(240);
  EXPECT_THROW(full.excerpts(64, 2000, 1), InvalidArgument);  // a window of 256
  r.prompt = {};
  EXPECT_THROW(r.excerpts(64, 100, 1), InvalidArgument);
}

/// What a method reads is its own, unless the caller says otherwise.
TEST(ExcerptsTest, EachMethodReadsItsOwnPasses) {
  const auto rows = [](const std::string& method, std::optional<QuerySources> sources) {
    test::Read r({0, 0}, DType::f32, 90);
    CompactOptions o = test::compact_options(method, 0.3, 50);
    o.repeat.excerpts = {7, 8};
    o.sources = sources;
    const StoredQueries q = capture_queries(r.model, r.cache, o);
    return q.layers[1].chunks.size();
  };
  const QuerySources repeat, excerpts{.repeat = false, .excerpts = 10}, both{.excerpts = 10};
  EXPECT_EQ(rows("kvzip", {}), rows("kvzip", repeat));
  EXPECT_EQ(rows("kvzip", both), rows("kvzip", repeat) + rows("kvzip", excerpts));
  EXPECT_EQ(rows("limbeck", both), rows("kvzip", both));
}

}  // namespace
}  // namespace limbeck
