#include "limbeck/eval/compaction_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::read_file;
using test::ScratchFolder;

const LanguageModel& model() {
  static const LanguageModel lm = test::tiny_language_model();
  return lm;
}

EvalPlan plan_of(const std::vector<std::string>& methods, const std::vector<double>& ratios) {
  EvalPlan plan;
  plan.texts = {{"a book", test::made_up_book(200, 1)}, {"b book", test::made_up_book(200, 2)}};
  for (const std::string& m : methods) plan.methods.push_back(parse_method_entry(m));
  plan.ratios = ratios;
  plan.lengths = {300};
  plan.contexts = 2;
  plan.needles = {40, 2, 0};
  return plan;
}

/// Everything but the times.
std::string values_of(const EvalRow& row) {
  auto j = row_to_json(row);
  j.erase("shared_seconds");
  j.erase("compaction_seconds");
  return j.dump();
}

TEST(CompactionEvalTest, FullIsExactNoneIsEmptyAndMethodsLieBetween) {
  const EvalResult result = evaluate_compaction(model(), plan_of({"kvzip", "knorm"}, {0.5, 0.2}));
  ASSERT_EQ(result.rows.size(), 12U);
  std::vector<std::string> order;
  for (size_t i = 0; i < 6; ++i)
    order.push_back(fmt::format("{} {}", result.rows[i].key.method, result.rows[i].key.ratio));
  EXPECT_EQ(order, (std::vector<std::string>{"full 1", "kvzip 0.5", "knorm 0.5", "kvzip 0.2",
                                             "knorm 0.2", "none 0"}));
  for (size_t c = 0; c < 2; ++c) {
    const EvalRow* rows = &result.rows[6 * c];
    EXPECT_EQ(rows[0].source, c == 0 ? "a book" : "b book");
    EXPECT_EQ(rows[0].answers.kl, 0.0);
    EXPECT_EQ(rows[0].continuation.kl, 0.0);
    EXPECT_EQ(rows[0].continuation.top1, 1.0);
    EXPECT_EQ(rows[0].continuation.tokens, 39);
    // Two layers of two heads, 16 numbers a key, f32.
    EXPECT_EQ(rows[0].span_bytes, 300 * 2 * 2 * 2 * 16 * 4);
    EXPECT_EQ(rows[5].span_bytes, 0);
    EXPECT_DOUBLE_EQ(rows[0].footprint, 1.0);
    EXPECT_DOUBLE_EQ(rows[0].peak, 1.0);
    EXPECT_EQ(rows[0].chunk, 512);
    for (size_t i = 1; i < 6; ++i) {
      // The whole text was held while it was read; what comes after shows the method.
      EXPECT_GT(rows[i].footprint, 0.5);
      EXPECT_LT(rows[i].footprint, 1.0);
      EXPECT_LT(rows[i].footprint_after, 0.75);
    }
    // kvzip reads the text again, knorm reads nothing.
    EXPECT_GT(rows[1].footprint_total, rows[1].footprint + 0.5);
    EXPECT_EQ(rows[2].footprint_total, rows[2].footprint);
    EXPECT_EQ(rows[5].kept, 0.0);
    for (size_t i = 1; i < 6; ++i) {
      EXPECT_GT(rows[i].answers.kl, 0.0);
      EXPECT_GT(rows[i].continuation.kl, 0.0);
      EXPECT_EQ(rows[i].continuation.nll_full, rows[0].continuation.nll_other);
      EXPECT_LT(rows[i].bytes, rows[0].bytes);
      EXPECT_EQ(rows[i].needles, 2);
      EXPECT_EQ(rows[i].outputs.size(), 2U);
      EXPECT_NEAR(rows[i].kept, rows[i].key.ratio, 0.01);
    }
    EXPECT_GT(rows[1].compaction_seconds(), rows[1].shared[1].second);
    EXPECT_EQ(rows[1].shared[1].first, "queries");
  }
  EXPECT_EQ(result.summary.size(), 6U);
}

TEST(CompactionEvalTest, SharedQueriesGiveWhatAMethodFindsAlone) {
  const EvalPlan plan = plan_of({"kvzip"}, {0.3});
  const EvalRow row = evaluate_compaction(model(), plan).rows[1];
  const ChatFrame frame = chat_frame(model());
  NeedleContexts contexts(model().tokenizer, frame, plan.texts, plan.needles);
  const NeedleContext& c = contexts.context(300, 0);
  KvCache full = model().model.new_cache();
  std::vector<int32_t> tokens = c.prefix;
  tokens.insert(tokens.end(), c.span.begin(), c.span.end());
  prefill(model().model, full, tokens);
  full.seal();
  KvCache compacted = full.clone();
  CompactOptions o;
  o.method = "kvzip";
  o.ratio = 0.3;
  o.span = PositionRange{static_cast<int64_t>(c.prefix.size()), full.logical_length()};
  o.repeat = repeat_prompt(model(), frame);
  compact(model().model, compacted, o);
  const Fidelity flow = compare_caches(model().model, full, compacted, {}, c.continuation);
  EXPECT_NEAR(row.continuation.kl, flow.kl, 1e-4 * flow.kl);
  std::vector<Fidelity> answers;
  for (const NeedleQuestion& q : c.questions)
    answers.push_back(compare_caches(model().model, full, compacted, q.prompt, q.gold));
  EXPECT_NEAR(row.answers.kl, mean_fidelity(answers).kl, 1e-4 * row.answers.kl);
}

TEST(CompactionEvalTest, RatioOneChangesNothing) {
  const EvalResult result = evaluate_compaction(model(), plan_of({"knorm"}, {1.0}));
  EXPECT_EQ(result.rows[1].answers.kl, 0.0);
  EXPECT_EQ(result.rows[1].outputs, result.rows[0].outputs);
}

TEST(CompactionEvalTest, OnPolicyMethodsCaptureTheirOwnQueries) {
  EvalPlan plan = plan_of({"am-hak:on-policy=1"}, {0.3});
  plan.contexts = 1;
  const EvalResult result = evaluate_compaction(model(), plan);
  EXPECT_EQ(result.rows[1].shared.size(), 1U);
  EXPECT_GT(result.rows[1].statistics.at("fitted_heads"), 0.0);
}

TEST(CompactionEvalTest, SelfStudyReachesOnPolicyFitsAndPolish) {
  const std::vector<std::string> methods = {"am-hak:queries=repeat:on-policy=1",
                                            "am-hak:queries=repeat+selfstudy:on-policy=1",
                                            "am-hak:queries=selfstudy:on-policy=1"};
  EvalPlan plan = plan_of(methods, {0.3});
  plan.contexts = 1;
  const EvalResult result = evaluate_compaction(model(), plan);
  std::vector<EvalRow> rows;
  for (const EvalRow& row : result.rows)
    if (row.key.method != "full" && row.key.method != "none") rows.push_back(row);
  ASSERT_EQ(rows.size(), 3U);
  // The conversations are read besides the repeat, or instead of it, and fit something else.
  EXPECT_GT(rows[1].footprint_total, rows[0].footprint_total + 0.01);
  EXPECT_GT(rows[1].footprint_total, rows[2].footprint_total + 0.01);
  EXPECT_NE(rows[1].answers.kl, rows[0].answers.kl);
  EXPECT_NE(rows[2].answers.kl, rows[0].answers.kl);
}

TEST(CompactionEvalTest, OtherQueriesAndPiecesAreMeasured) {
  const std::vector<std::string> methods = {"am-hak",
                                            "am-hak:queries=prefill",
                                            "am-hak:queries=repeat+prefill",
                                            "am-hak:queries=sampled=8",
                                            "am-hak:queries=repeat+sampled=8",
                                            "am-hak:queries=repeat+sampled=8:sampled-weight=50",
                                            "am-hak:chunk=100"};
  EvalPlan plan = plan_of(methods, {0.3});
  plan.contexts = 1;
  const EvalResult result = evaluate_compaction(model(), plan);
  std::set<double> divergences;
  for (const std::string& m : methods) {
    const auto row = std::find_if(result.rows.begin(), result.rows.end(),
                                  [&](const EvalRow& r) { return r.key.method == m; });
    ASSERT_NE(row, result.rows.end()) << m;
    divergences.insert(row->answers.kl);
    // The context's queries are shared; those of pieces are made by the method.
    EXPECT_EQ(row->shared.size(), m.ends_with("chunk=100") ? 1U : 2U) << m;
    EXPECT_GT(row->statistics.at("fitted_heads"), 0.0) << m;
  }
  EXPECT_EQ(divergences.size(), methods.size());
}

TEST(CompactionEvalTest, AKilledRunGoesOnAndGivesTheSameRows) {
  const ScratchFolder folder;
  EvalPlan plan = plan_of({"kvzip", "random"}, {0.3});
  const EvalResult whole = evaluate_compaction(model(), plan);
  plan.log = folder.path() / "run.jsonl";
  for (const int64_t stop : {1, 2, 4}) {  // runs of this start
    plan.progress = [stop](const ProgressStep& step) {
      EXPECT_EQ(step.unit, "runs");
      if (step.done == stop) throw Cancelled("[test] stopped after {} runs", stop);
    };
    EXPECT_THROW(evaluate_compaction(model(), plan), Cancelled);
  }
  const std::string before = read_file(plan.log);
  int64_t total = 0;
  plan.progress = [&](const ProgressStep& step) { total = step.total; };
  const EvalResult resumed = evaluate_compaction(model(), plan);
  EXPECT_EQ(total, 1);
  EXPECT_TRUE(read_file(plan.log).starts_with(before));
  ASSERT_EQ(resumed.rows.size(), whole.rows.size());
  for (size_t i = 0; i < whole.rows.size(); ++i)
    EXPECT_EQ(values_of(resumed.rows[i]), values_of(whole.rows[i]));
}

TEST(CompactionEvalTest, ALogGrowsByMethodsAndContextsAndRefusesOtherSettings) {
  const ScratchFolder folder;
  EvalPlan plan = plan_of({"knorm"}, {0.3});
  plan.contexts = 1;
  plan.log = folder.path() / "run.jsonl";
  evaluate_compaction(model(), plan);
  EvalPlan more = plan_of({"random", "knorm"}, {0.3});
  more.log = plan.log;
  int64_t total = 0;
  more.progress = [&](const ProgressStep& step) { total = step.total; };
  EXPECT_EQ(evaluate_compaction(model(), more).rows.size(), 8U);
  EXPECT_EQ(total, 5);
  EvalPlan other = plan;
  other.needles.seed = 1;
  EXPECT_THROW(evaluate_compaction(model(), other), Mismatch);
  other = plan;
  other.texts.pop_back();
  EXPECT_THROW(evaluate_compaction(model(), other), Mismatch);
  other = plan;
  other.methods[0].options.scorer_options["recent"] = "3";
  EXPECT_EQ(error_text<Mismatch>([&] { evaluate_compaction(model(), other); }),
            "[eval] " + plan.log.string() +
                " holds rows of knorm with other options or head tables; name another file to "
                "start anew");
}

TEST(CompactionEvalTest, RefusesImpossiblePlansBeforeAnyWork) {
  const auto error_of = [](auto&& change) {
    EvalPlan plan = plan_of({"knorm"}, {0.3});
    change(plan);
    return error_text<InvalidArgument>([&] { evaluate_compaction(model(), plan); });
  };
  EXPECT_EQ(error_of([](EvalPlan& p) { p.ratios = {1.5}; }),
            "[eval] ratios must be in (0, 1]; found 1.5");
  EXPECT_EQ(error_of([](EvalPlan& p) {
              p.ratios = {0.3, 0.3};
            }),
            "[eval] methods and ratios must be distinct; found knorm at 0.3 twice");
  EXPECT_EQ(error_of([](EvalPlan& p) { p.methods[0].label = "full"; }),
            "[eval] \"full\" is always measured and cannot name a method");
  EXPECT_EQ(error_of([](EvalPlan& p) { p.lengths = {}; }), "[eval] need a length; found none");
  EXPECT_EQ(error_of([](EvalPlan& p) { p.contexts = 0; }),
            "[eval] contexts must be at least 1; found 0");
  EXPECT_TRUE(error_of([](EvalPlan& p) {
                p.lengths = {300, 3900};
              }).starts_with("[eval] a span of 3900 tokens needs "));
  EXPECT_TRUE(error_of([](EvalPlan& p) {
                p.contexts = 500;
              }).starts_with("[needles] 2 texts have no room for context "));
}

TEST(CompactionEvalTest, StreamingHeadsAreAMethodAndGoWithOthers) {
  EvalPlan plan = plan_of({"streaming-heads:heads=g:sinks=4:window=26",
                           "keydiff:heads=g:sinks=4:window=26:sparsity=0.5"},
                          {0.55});
  plan.contexts = 1;
  for (MethodEntry& m : plan.methods) {
    m.gates.kind = "gates";
    m.gates.layers = m.gates.kv_heads = 2;
    m.gates.values = {.1, .9, .8, .2};
  }
  const EvalResult result = evaluate_compaction(model(), plan);
  ASSERT_EQ(result.rows.size(), 4U);
  const EvalRow &full = result.rows[0], &heads = result.rows[1], &both = result.rows[2];
  // Two of four heads hold the last 26 of 300 tokens; the chat frame has the first.
  EXPECT_EQ(heads.key.method, "streaming-heads:heads=g:sinks=4:window=26");
  EXPECT_DOUBLE_EQ(heads.statistics.at("streaming_heads"), 0.5);
  EXPECT_NEAR(heads.kept, 0.55, 0.01);
  EXPECT_NEAR(static_cast<double>(heads.span_bytes),
              heads.kept * static_cast<double>(full.span_bytes), 1.0);
  EXPECT_GT(heads.continuation.kl, 0.0);
  EXPECT_LT(heads.footprint, 1.0);
  // Compacted on top of that to the same ratio there is nothing to do, to a smaller one there is.
  EXPECT_NEAR(both.kept, 0.55, 0.01);
  plan.ratios = {0.2};
  plan.methods.erase(plan.methods.begin());
  EXPECT_NEAR(evaluate_compaction(model(), plan).rows[1].kept, 0.2, 0.01);
}

}  // namespace
}  // namespace limbeck
