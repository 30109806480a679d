#include "limbeck/compact/queries/repeat.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

std::vector<int32_t> part(const std::vector<int32_t>& ids, int64_t begin, int64_t end) {
  return {ids.begin() + begin, ids.begin() + end};
}

TEST(RepeatSuffixesTest, EveryChunkIsItsOwnTokensBehindItsInstruction) {
  test::Read r({0, 0}, DType::f32, 90);
  const RepeatPrompt prompt = test::compact_options("limbeck", 0.5, 50).repeat;
  const PositionRange span{6, 84};
  for (const int64_t chunk : {1, 7, 25, 26, 77, 78, 400}) {
    const auto suffixes = repeat_suffixes(r.model, r.cache, span, prompt, chunk);
    EXPECT_EQ(static_cast<int64_t>(suffixes.size()), (span.size() + chunk - 1) / chunk);
    int64_t at = span.begin;
    for (const ReferenceSuffix& s : suffixes) {
      EXPECT_EQ(s.chunk.begin, at);
      EXPECT_LE(s.chunk.size(), chunk);
      at = s.chunk.end;
      std::vector<int32_t> want = prompt.first;
      if (s.chunk.begin > span.begin) {  // says where to go on, by up to eight tokens of the span
        want = prompt.before_quote;
        const auto quote = part(r.cache.tokens(),
                                std::max(span.begin, s.chunk.begin - kRepeatQuote), s.chunk.begin);
        want.insert(want.end(), quote.begin(), quote.end());
        want.insert(want.end(), prompt.after_quote.begin(), prompt.after_quote.end());
      }
      const auto text = part(r.cache.tokens(), s.chunk.begin, s.chunk.end);
      want.insert(want.end(), text.begin(), text.end());
      EXPECT_EQ(s.tokens, want);
      EXPECT_FALSE(s.in_place);
    }
    EXPECT_EQ(at, span.end);
  }
}

/// What is compacted in pieces holds what the pieces kept and what lies around them.
TEST(RepeatSuffixesTest, PiecesCompactedByTheirRepeatsAddUp) {
  for (const char* method : {"limbeck", "kvzip", "am-omp"}) {
    test::Read r({0, 0, 0}, DType::f32, 90);
    const auto tokens = r.cache.tokens();
    CompactOptions o = test::compact_options(method, 0.4, 50);
    o.span = PositionRange{6, 84};
    o.chunk = 26;
    const CompactReport report = compact(r.model, r.cache, o);
    int64_t kept = 0, held = 0, pieces = 0;
    for (const int64_t n : report.kept) kept += n;
    for (size_t s = 0; s < r.cache.segments().size(); ++s) {
      if (r.cache.segments()[s].state == SpanState::compacted) ++pieces;
      for (int64_t l = 0; l < 3; ++l) held += r.cache.layer(l).segments[s]->slots();
    }
    for (int64_t l = 0; l < 3; ++l) held += 2 * r.cache.layer(l).tail.length;
    EXPECT_EQ(pieces, 3) << method;
    EXPECT_EQ(kept, report.entries_after) << method;
    EXPECT_EQ(held, report.entries_after + 3 * 2 * (90 - 78)) << method;
    EXPECT_EQ(r.cache.logical_length(), 90);
    EXPECT_EQ(r.cache.tokens(), tokens);
  }
}

}  // namespace
}  // namespace limbeck
