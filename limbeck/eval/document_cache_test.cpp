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

}  // namespace
}  // namespace limbeck
