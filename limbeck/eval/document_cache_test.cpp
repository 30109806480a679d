#include "limbeck/eval/document_cache.h"

#include "limbeck/eval/eval_testing.h"
#include "limbeck/eval/fidelity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

LanguageModel model_of(const std::vector<int64_t>& windows) {
  ModelSpec spec = test::small_spec(windows);
  spec.vocabulary = test::tiny_tokenizer().vocabulary_size();
  return {"tiny", "tiny.gguf", random_model(spec, DType::f32, 3), test::tiny_tokenizer(), {}, {}};
}

/// What the model says of some tokens behind a unit's cache of the document.
at::Tensor answer(const LanguageModel& lm, const std::vector<int32_t>& document,
                  const std::string& label) {
  DocumentCache cache(lm, {}, test::random_tokens(9, 1), document, 0);
  CompactedDocument made = cache.compacted({label, 1.0, nullptr, ""});
  return scored_log_probs(lm.model, made.cache, test::random_tokens(5, 2),
                          test::random_tokens(4, 3));
}

TEST(DocumentCacheTest, WithoutTheDocumentNothingOfItIsSeen) {
  for (const std::vector<int64_t>& windows :
       {std::vector<int64_t>{0, 0}, {0, 6, 0}, {64, 0}, {6, 6}}) {
    const LanguageModel lm = model_of(windows);
    const auto one = test::random_tokens(40, 4), other = test::random_tokens(40, 5);
    EXPECT_FALSE(at::equal(answer(lm, one, "full"), answer(lm, other, "full")));
    EXPECT_TRUE(at::equal(answer(lm, one, "none"), answer(lm, other, "none")));
  }
}

/// What is captured once and shared gives what a method makes of queries of its own.
TEST(DocumentCacheTest, AMethodGetsTheQueriesThatItsEntryNames) {
  const LanguageModel lm = model_of({0, 0});
  const auto prefix = test::random_tokens(9, 1), text = test::random_tokens(60, 4);
  DocumentCache document(lm, {}, prefix, text, 7);
  for (const char* entry :
       {"am-hak:queries=prefill", "am-hak:queries=repeat+prefill", "am-hak:queries=sampled=8",
        "am-hak:queries=sampled=8:sampled-weight=50", "am-hak:chunk=30"}) {
    const MethodEntry method = parse_method_entry(entry);
    const KvCache got = document.compacted({entry, 0.3, &method, ""}).cache;
    CompactOptions o = method.options;
    o.ratio = 0.3;
    o.span = document.span();
    o.repeat = repeat_prompt(lm, {});
    o.seed = 7;
    KvCache want = document.full().clone();
    compact(lm.model, want, o);
    ASSERT_EQ(got.segments().size(), want.segments().size()) << entry;
    for (size_t s = 0; s < want.segments().size(); ++s)
      for (int64_t l = 0; l < 2; ++l) {
        const LayerSegment &a = *got.layer(l).segments[s], &b = *want.layer(l).segments[s];
        ASSERT_TRUE(at::equal(a.positions, b.positions)) << entry;
        // The model reads further where nobody has attended to the span for it: rounding.
        EXPECT_LT((a.values - b.values).norm().item<double>(),
                  1e-3 * b.values.norm().item<double>())
            << entry;
      }
  }
}

}  // namespace
}  // namespace limbeck
