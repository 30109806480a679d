#include "limbeck/compact/queries/self_study.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/read_testing.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using Texts = std::vector<std::string>;

TEST(ListItemsTest, RulesThenNumbersThenEmptyLines) {
  EXPECT_EQ(list_items("Who?\nA) me\n---\nWhen?\n\nB) now\n"),
            (Texts{"Who?\nA) me", "When?\n\nB) now"}));
  EXPECT_EQ(list_items("***\n1. Who?\n***\n***\n2. When?"), (Texts{"1. Who?", "2. When?"}));
  EXPECT_EQ(list_items("Here they are:\n1. Who?\nA) me\n2) When?\n\n10. Where?"),
            (Texts{"Who?\nA) me", "When?", "Where?"}));
  EXPECT_EQ(list_items("Who?\nme\n\n \nWhen?"), (Texts{"Who?\nme", "When?"}));
  EXPECT_EQ(list_items("Only one"), (Texts{"Only one"}));
  EXPECT_EQ(list_items("1984 was a year.\n1234. no number either"),
            (Texts{"1984 was a year.\n1234. no number either"}));
  EXPECT_EQ(list_items("--\n- a"), (Texts{"--\n- a"}));
  EXPECT_TRUE(list_items("").empty());
  EXPECT_TRUE(list_items("\n \n---\n").empty());
}

LanguageModel model_of_bytes(int64_t window) {
  const Tokenizer& tokenizer = test::load(test::byte_level_json({}));
  ModelSpec spec = test::small_spec({0, 0});
  spec.vocabulary = tokenizer.vocabulary_size();
  spec.context_length = window;
  return {"tiny", "tiny.gguf", random_model(spec, DType::f32, 3), tokenizer, {}, {}};
}

struct Read {
  explicit Read(int64_t window) : lm(model_of_bytes(window)), cache(lm.model.new_cache()) {
    prefill(lm.model, cache, test::random_tokens(60, 4));
    frame = chat_frame(lm);
  }
  LanguageModel lm;
  KvCache cache;
  ChatFrame frame;
};

SelfStudyOptions short_answers(int64_t seed) {
  SelfStudyOptions o;
  o.question_tokens = 40;
  o.answer_tokens = 12;
  o.task_tokens = 9;
  o.seed = seed;
  return o;
}

TEST(ThoughtTest, OnlyClosedThoughtsAreAnswers) {
  EXPECT_FALSE(still_thinks("It rained."));
  EXPECT_FALSE(still_thinks("<think>Rain?</think>It rained."));
  EXPECT_TRUE(still_thinks("<think>Was it rain"));
  EXPECT_TRUE(still_thinks("<think>Rain?</think>It did. <think>Or snow"));
  EXPECT_EQ(said_aloud("<think>1. rain?\n</think>1. Why?"), "1. Why?");
  EXPECT_EQ(said_aloud("<think>a</think>b<think>c</think>d"), "d");
  EXPECT_EQ(said_aloud("1. Why?"), "1. Why?");
}

TEST(SelfStudyTest, EveryConversationIsAQuestionAndWhatTheModelSays) {
  const Read r(1024);
  const KvCache before = r.cache.clone();
  int64_t reported = 0;
  SelfStudyOptions o = short_answers(1);
  o.progress = [&](const ProgressStep& p) { reported = p.done; };
  const SelfStudy s = self_study(r.lm, r.cache, {5, 60}, r.frame, o);
  EXPECT_TRUE(cache_equal(before, r.cache));
  // A random model writes no list, which makes one question of all it says.
  EXPECT_LE(s.questions.size(), 5U);
  ASSERT_EQ(s.suffixes.size(), s.questions.size() + 3);
  EXPECT_EQ(reported, static_cast<int64_t>(s.suffixes.size()));
  for (size_t i = 0; i < s.questions.size(); ++i)
    EXPECT_TRUE(r.lm.tokenizer.decode(s.suffixes[i].tokens).starts_with("\n" + s.questions[i]));
  const std::string task = r.lm.tokenizer.decode(s.suffixes.back().tokens);
  EXPECT_TRUE(task.starts_with("\nGive the facts")) << task;
  for (const ReferenceSuffix& suffix : s.suffixes) EXPECT_EQ(suffix.chunk.begin, 5);

  const SelfStudy again = self_study(r.lm, r.cache, {5, 60}, r.frame, short_answers(1));
  const SelfStudy other = self_study(r.lm, r.cache, {5, 60}, r.frame, short_answers(2));
  EXPECT_EQ(again.suffixes.back().tokens, s.suffixes.back().tokens);
  EXPECT_NE(other.suffixes.back().tokens, s.suffixes.back().tokens);
}

TEST(SelfStudyTest, ItsConversationsAreReferenceQueriesLikeAnyOthers) {
  Read r(1024);
  CompactOptions o;
  o.method = "kvzip";
  o.ratio = 0.3;
  o.span = PositionRange{5, 60};
  o.references = self_study(r.lm, r.cache, *o.span, r.frame, short_answers(1)).suffixes;
  const CompactReport report = compact(r.lm.model, r.cache, o);
  EXPECT_NEAR(report.achieved_ratio, 0.3, 0.01);
}

TEST(SelfStudyTest, AFullWindowIsRefused) {
  const Read r(160);
  try {
    self_study(r.lm, r.cache, {5, 60}, r.frame, short_answers(1));
    FAIL();
  } catch (const InvalidArgument& e) {
    EXPECT_NE(std::string(e.what()).find("the model's window of 160"), std::string::npos);
  }
}

}  // namespace
}  // namespace limbeck
