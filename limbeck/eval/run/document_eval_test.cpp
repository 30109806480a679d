#include "limbeck/eval/run/document_eval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/eval/fidelity.h"
#include "limbeck/io/test_files.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

const LanguageModel& model() {
  static const LanguageModel lm = test::tiny_language_model();
  return lm;
}

/// Answers count by their length: what they say means nothing on random weights.
class BookTask : public Task {
 public:
  explicit BookTask(AnswerKind answer = AnswerKind::generate) {
    info_.name = "book";
    info_.group = "test";
    info_.category = "part";
    info_.metric = "length";
    info_.max_new = 12;
    info_.answer = answer;
    info_.truncation = Truncation::end;
  }
  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return 1; }
  TaskDocument document(int64_t length, int64_t index) override {
    TaskDocument out;
    out.id = "1";
    out.ordinal = index;
    out.length = length;
    out.text = test::made_up_book(12, 1);
    for (const char* text : {" What came?", " Was it calm, and who said so?", " Why?"}) {
      TaskQuestion& q = out.questions.emplace_back();
      q.id = text;
      q.text = text;
      q.options = {"the sea", "no wind"};
    }
    if (info_.answer == AnswerKind::continue_text) out.questions.resize(1);
    return out;
  }
  TaskScore score(const TaskQuestion& /*question*/, std::string_view text) const override {
    scored.emplace_back(text);
    if (!refused.empty() && text == refused) throw InvalidArgument("[book] this answer is refused");
    TaskScore out;
    out.score = text.empty() ? 0 : 1;
    return out;
  }

  std::string refused;                      ///< an answer that cannot be scored
  mutable std::vector<std::string> scored;  ///< texts
  void score_with_prefix() { info_.prefix_scored = true; }

 private:
  TaskInfo info_;
};

struct Result {
  std::map<std::string, SampleRow> rows;  ///< by question
  HeadsRow heads;
};

Result run(const std::string& method, double ratio, DocumentSettings settings = {},
           bool reversed = false, AnswerKind answer = AnswerKind::generate, int64_t length = 0) {
  BookTask task(answer);
  const TaskPrompt prompt(model(), false);
  TaskDocument document = task.document(length, 0);
  if (reversed) std::reverse(document.questions.begin(), document.questions.end());
  settings.seed = 5;
  DocumentEval eval(model(), task, prompt, document, settings);
  const bool bound = method == kFullLabel || method == kNoneLabel;
  const MethodEntry entry = parse_method_entry(bound ? "knorm" : method);
  const SampleUnit unit = eval.run({method, ratio, bound ? nullptr : &entry, ""});
  Result out{{}, unit.heads};
  for (const SampleRow& row : unit.rows) out.rows[row.q_id] = row;
  return out;
}

std::vector<std::string> predictions(const Result& result) {
  std::vector<std::string> out;
  for (const auto& [id, row] : result.rows) out.push_back(row.prediction);
  return out;
}

TEST(DocumentEvalTest, QuestionsNeverSeeEachOther) {
  for (const EvalMode mode : {EvalMode::agnostic, EvalMode::aware, EvalMode::in_prompt}) {
    const auto forwards = run("knorm:scorer.recent=4", 0.3, {mode, 0, 0}),
               backwards = run("knorm:scorer.recent=4", 0.3, {mode, 0, 0}, true);
    ASSERT_EQ(forwards.rows.size(), 3U);
    EXPECT_EQ(predictions(forwards), predictions(backwards)) << eval_mode_name(mode);
    EXPECT_EQ(forwards.heads.kept, backwards.heads.kept);
  }
}

TEST(DocumentEvalTest, EverythingKeptIsTheFullCache) {
  const Result full = run("full", 1.0), kept = run("knorm", 1.0);
  EXPECT_EQ(predictions(full), predictions(kept));
  for (const auto& [id, row] : kept.rows) {
    EXPECT_EQ(row.metrics.at("kl"), 0);
    EXPECT_EQ(row.kept_ratio, 1);
    EXPECT_EQ(row.category, "part");
    EXPECT_GT(row.rss_peak, 0);
  }
  for (const auto& [id, row] : run("none", 0.0).rows) EXPECT_EQ(row.kept, 0);
}

TEST(DocumentEvalTest, WithoutAChatTemplateTheAnswerPrefixMayBeScored) {
  LanguageModel plain = test::tiny_language_model(), chats = test::tiny_language_model();
  plain.chat_template.reset();
  if (!chats.chat_template)
    chats.chat_template = ChatTemplate::compile("{{ messages[0].content }}!");
  for (const LanguageModel* lm : {&plain, &chats}) {
    BookTask task;
    task.score_with_prefix();
    const TaskPrompt prompt(*lm, true);
    TaskDocument document = task.document(0, 0);
    document.questions.resize(1);
    document.questions[0].answer_prefix = "It was";
    DocumentEval eval(*lm, task, prompt, document, {});
    const SampleRow row = eval.run({"full", 1.0, nullptr, ""}).rows.at(0);
    ASSERT_EQ(task.scored.size(), 1U);
    EXPECT_EQ(task.scored[0], (lm == &plain ? "It was" : "") + row.prediction);
  }
}

TEST(DocumentEvalTest, UnitsHaveTheirTimeline) {
  for (const AnswerKind answer : {AnswerKind::generate, AnswerKind::choose_letter}) {
    const Result full = run("full", 1.0, {}, false, answer),
                 few = run("knorm", 0.25, {}, false, answer);
    // Up and never down; up, down to what is kept, and up with the question; options that are
    // weighed do not stay.
    ASSERT_EQ(full.heads.timeline.size(), 2U);
    ASSERT_EQ(few.heads.timeline.size(), answer == AnswerKind::generate ? 4U : 3U);
    const auto& t = few.heads.timeline;
    const int64_t tokens = few.rows.begin()->second.document_tokens;
    EXPECT_GE(t[1].step, tokens);
    EXPECT_EQ(t[1].entries, t[1].step);
    EXPECT_EQ(t[2].step, t[1].step);
    EXPECT_NEAR(t[1].entries - t[2].entries, 0.75 * static_cast<double>(tokens), 1.0);
    if (t.size() > 3) {
      EXPECT_NEAR(t[3].entries - t[2].entries, t[3].step - t[2].step, 1e-9);
    }
  }
}

TEST(DocumentEvalTest, TheQuestionIsPartOfWhatAwareModesCompact) {
  const Result agnostic = run("knorm:scorer.recent=4", 0.5);
  for (const EvalMode mode : {EvalMode::aware, EvalMode::in_prompt}) {
    const Result other = run("knorm:scorer.recent=4", 0.5, {mode, 0, 0});
    for (const auto& [id, row] : other.rows) {
      EXPECT_EQ(row.mode, eval_mode_name(mode));
      EXPECT_NEAR(row.kept_ratio, 0.5, 0.01);
      EXPECT_EQ(row.document_tokens, agnostic.rows.at(id).document_tokens);
      EXPECT_GT(row.kept, agnostic.rows.at(id).kept);
    }
  }
}

TEST(DocumentEvalTest, InPromptTheFirstTokenIsTheFullCaches) {
  const DocumentSettings settings{EvalMode::in_prompt, 0, 0};
  const Result agnostic = run("full", 1.0), full = run("full", 1.0, settings),
               few = run("random", 0.05, settings);
  EXPECT_EQ(predictions(full), predictions(agnostic));
  int64_t others = 0;
  for (const auto& [id, row] : few.rows) {
    const std::string& expected = full.rows.at(id).prediction;
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(row.prediction.substr(0, 1), expected.substr(0, 1));
    others += row.prediction != expected ? 1 : 0;
  }
  EXPECT_GT(others, 0);
}

TEST(DocumentEvalTest, TextThatGoesOnIsComparedTokenByToken) {
  const auto go_on = [](const std::string& method, double ratio) {
    return run(method, ratio, {}, false, AnswerKind::continue_text, 200).rows.begin()->second;
  };
  const SampleRow full = go_on("full", 1.0), half = go_on("knorm:scorer.recent=4", 0.3);
  EXPECT_EQ(full.document_tokens, 200);
  EXPECT_EQ(full.score, 1);
  EXPECT_EQ(full.metrics.at("kl_max"), 0);
  EXPECT_EQ(full.metrics.at("nll"), full.metrics.at("nll_full"));
  EXPECT_GT(half.metrics.at("kl"), 0);
  EXPECT_EQ(half.metrics.at("nll_full"), full.metrics.at("nll"));
  EXPECT_FALSE(full.metrics.contains("kl [16,64)"));  // 11 positions
}

TEST(DocumentEvalTest, TheOptionThatFollowsBestIsChosen) {
  BookTask task(AnswerKind::choose_option);
  const TaskPrompt prompt(model(), false);
  TaskDocument document = task.document(0, 0);
  for (TaskQuestion& q : document.questions) {
    q.answer_prefix = "The answer is:";
    q.options = {"the sea", "no wind at all", "a", "Tom"};
  }
  DocumentEval eval(model(), task, prompt, document, {});
  const SampleUnit full = eval.run({"full", 1.0, nullptr, ""});
  ASSERT_EQ(full.rows.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    const TaskQuestion& q = document.questions[i];
    std::vector<int32_t> text = prompt.before(), ids = prompt.document(document.text);
    text.insert(text.end(), ids.begin(), ids.end());
    double best = -INFINITY;
    std::string letter;
    for (size_t o = 0; o < q.options.size(); ++o) {
      const std::vector<int32_t> answer = prompt.continued(q.answer_prefix, q.options[o]);
      KvCache cache = model().model.new_cache();
      prefill(model().model, cache, text);
      const at::Tensor rows =
          scored_log_probs(model().model, cache, prompt.question(q.text, q.answer_prefix), answer);
      double sum = 0;
      for (size_t t = 0; t < answer.size(); ++t)
        sum += rows[static_cast<int64_t>(t)][answer[t]].item<double>();
      if (sum / static_cast<double>(answer.size()) <= best) continue;
      best = sum / static_cast<double>(answer.size());
      letter = std::string(1, static_cast<char>('A' + o));
    }
    EXPECT_EQ(full.rows[i].prediction, letter);
    EXPECT_EQ(full.rows[i].finish, "chosen");
  }
}

TEST(DocumentEvalTest, ATaskOfAnyLengthIsCutToTheLengthAskedFor) {
  const Result whole = run("full", 1.0),
               cut = run("full", 1.0, {}, false, AnswerKind::generate, 100);
  for (const auto& [id, row] : cut.rows) {
    EXPECT_TRUE(row.truncated);
    EXPECT_LE(row.document_tokens + row.generated_tokens, 100);
    EXPECT_LT(row.document_tokens, whole.rows.at(id).document_tokens);
  }
}

TEST(DocumentEvalTest, AUnitThatFailsLeavesTheOthers) {
  BookTask task;
  const TaskPrompt prompt(model(), false);
  const TaskDocument document = task.document(0, 0);
  DocumentEval eval(model(), task, prompt, document, {});
  const MethodEntry knorm = parse_method_entry("knorm");
  const EvalUnit a{"knorm", 0.3, &knorm, ""}, b{"knorm", -1.0, &knorm, ""},
      c{"full", 1.0, nullptr, ""};
  const EvalUnit* const units[] = {&a, &b, &c};
  const auto outcomes = eval.run(units);
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_FALSE(outcomes[0].error);
  EXPECT_TRUE(outcomes[1].error);
  EXPECT_FALSE(outcomes[2].error);
  const SampleUnit alone = eval.run(a);
  ASSERT_EQ(outcomes[0].unit->rows.size(), 3U);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(outcomes[0].unit->rows[i].prediction, alone.rows[i].prediction);
  EXPECT_EQ(outcomes[0].unit->heads.kept, alone.heads.kept);
  // Where an error ends a run, nothing behind it is begun.
  DocumentSettings stopping;
  stopping.ends_run = [](const std::exception_ptr& error) { return error != nullptr; };
  const auto until = DocumentEval(model(), task, prompt, document, stopping).run(units);
  EXPECT_TRUE(until[0].unit && until[1].error);
  EXPECT_FALSE(until[2].unit || until[2].error);
  // An answer that fails is found out, and the others are as before.
  const SampleUnit full = eval.run(c);
  task.refused = full.rows[1].prediction;
  ASSERT_NE(alone.rows[1].prediction, task.refused);
  const EvalUnit* const two[] = {&a, &c};
  const auto asked = eval.run(two);
  EXPECT_TRUE(asked[1].error);
  ASSERT_FALSE(asked[0].error);
  ASSERT_EQ(asked[0].unit->rows.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(asked[0].unit->rows[i].prediction, alone.rows[i].prediction);
    EXPECT_EQ(asked[0].unit->rows[i].metrics, alone.rows[i].metrics);
  }
}

TEST(DocumentEvalTest, ASmallerWindowCutsTheDocument) {
  const Result result = run("full", 1.0, {EvalMode::agnostic, 120, 0});
  for (const auto& [id, row] : result.rows) {
    EXPECT_TRUE(row.truncated);
    EXPECT_LE(row.prompt_tokens + 12, 120);
  }
  EXPECT_FALSE(run("full", 1.0).rows.begin()->second.truncated);
}

TEST(DocumentEvalTest, ModesThatDoNotFitATaskAreRefused) {
  using test::error_text;
  EXPECT_EQ(error_text<InvalidArgument>([] {
              run("full", 1.0, {EvalMode::aware, 0, 0}, false, AnswerKind::continue_text, 200);
            }),
            "[eval] book asks nothing, so that its mode must be agnostic; found aware");
  EXPECT_EQ(error_text<InvalidArgument>([] {
              run("full", 1.0, {EvalMode::in_prompt, 0, 0}, false, AnswerKind::choose_letter);
            }),
            "[eval] mode in-prompt needs answers that are generated; book chooses");
  EXPECT_EQ(error_text<InvalidArgument>([] { parse_eval_mode("x"); }),
            "[eval] mode must be one of agnostic, aware, in-prompt; found \"x\"");
  EXPECT_EQ(parse_eval_mode("in-prompt"), EvalMode::in_prompt);
}

}  // namespace
}  // namespace limbeck
