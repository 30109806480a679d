#include "limbeck/eval/tasks/ruler/ruler.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/tasks_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <map>

namespace limbeck {
namespace {

using test::bytes_of;
using test::made_up_resources;
using test::word_counter;

std::unique_ptr<Task> make(std::string_view name, const RulerOptions& options = {}) {
  return make_ruler_task(name, made_up_resources(), options, word_counter());
}

TEST(RulerTest, HasThirteenTasksWithTheirReserves) {
  const std::map<std::string, int64_t> reserves = {
      {"vt", 30}, {"cwe", 120}, {"fwe", 50}, {"qa_1", 32}, {"qa_2", 32}};
  EXPECT_EQ(ruler_task_names().size(), 13U);
  for (const std::string& name : ruler_task_names()) {
    const auto task = make(name);
    EXPECT_EQ(task->info().name, name);
    EXPECT_EQ(task->info().group, "ruler");
    EXPECT_EQ(task->info().metric, name.starts_with("qa") ? "part" : "all");
    EXPECT_EQ(task->info().max_new, reserves.contains(name) ? reserves.at(name) : 128);
    EXPECT_FALSE(ruler_summary(name).empty());
  }
}

TEST(RulerTest, SamplesFillTheLengthWithinTwoSteps) {
  for (const std::string& name : ruler_task_names()) {
    const auto task = make(name);
    for (const int64_t length : {1024, 2000, 4096, 9000})
      for (int64_t i = 0; i < 40; ++i) {
        const TaskDocument d = task->document(length, i);
        const TaskQuestion& q = d.questions.at(0);
        const int64_t tokens =
            word_counter()(d.text, q.text, q.answer_prefix) + task->info().max_new;
        EXPECT_EQ(d.facts["tokens"], tokens);
        const bool essay = d.facts.contains("depths"), lines = name.starts_with("niah") && !essay;
        const int64_t step = essay           ? (length < 4096 ? length / 16 : 500)
                             : lines         ? (length < 4096 ? 5 : 25)
                             : name == "fwe" ? length / 32
                             : name.starts_with("qa") && length < 4096 ? 2
                                                                       : 10;
        const int64_t x = d.facts["x"];
        ASSERT_LE(tokens, length) << name << " " << i;
        ASSERT_GE(tokens, length - 2 * (tokens * step / x + 1)) << name << " " << i;
        EXPECT_EQ(name == "fwe" ? (x - length / 6) % step : x % step, 0);
        EXPECT_EQ(d.id, fmt::format("{}-{}", length, i));
        EXPECT_EQ(d.ordinal, i);
        EXPECT_EQ(d.length, length);
      }
  }
}

TEST(RulerTest, DocumentsEndWithAnEmptyLineAndPrefixesBeginWithoutABlank) {
  for (const std::string& name : ruler_task_names()) {
    const TaskDocument d = make(name)->document(2048, 3);
    const TaskQuestion& q = d.questions.at(0);
    EXPECT_TRUE(d.text.ends_with("\n\n")) << name;
    EXPECT_FALSE(q.text.empty() || q.answer_prefix.empty() || q.outputs.empty()) << name;
    EXPECT_NE(q.answer_prefix.front(), ' ') << name;
    EXPECT_EQ(d.text.find(q.text) == std::string::npos, name != "cwe")
        << name;  // its demonstration asks it
  }
}

TEST(RulerTest, SampleDoesNotDependOnOthersMadeBefore) {
  for (const std::string& name : ruler_task_names()) {
    const auto one = make(name), two = make(name);
    two->document(4096, 0);
    two->document(1500, 1);
    EXPECT_EQ(bytes_of(one->document(1500, 7)), bytes_of(two->document(1500, 7))) << name;
    EXPECT_NE(bytes_of(one->document(1500, 7)), bytes_of(one->document(1500, 8))) << name;
    RulerOptions other;
    other.seed = 43;
    EXPECT_NE(one->document(1500, 7).text, make(name, other)->document(1500, 7).text) << name;
  }
}

// Pinned: the same on every machine, and recorded runs can be repeated. A change of wording, words
// or draws changes them on purpose.
TEST(RulerTest, BytesArePinned) {
  const std::map<std::string, uint64_t> pinned = {
      {"niah_single_1", 0xd6a5027447c8f26dULL},
      {"niah_single_2", 0x759c79bf4a399218ULL},
      {"niah_single_3", 0xbf5e547f44bc5590ULL},
      {"niah_multikey_1", 0x1ff130823314084bULL},
      {"niah_multikey_2", 0xfa5680e3076e8365ULL},
      {"niah_multikey_3", 0x1d632067f8c32840ULL},
      {"niah_multivalue", 0xb3cec908f7df3e20ULL},
      {"niah_multiquery", 0x436649659af23f0bULL},
      {"vt", 0xce7817d38577bf4eULL},
      {"cwe", 0xa4cc91c6441e4ebfULL},
      {"fwe", 0xb5335382a558fbc1ULL},
      {"qa_1", 0x0b7cfadc0d094a41ULL},
      {"qa_2", 0x3039e10fb681ec4cULL},
  };
  for (const std::string& name : ruler_task_names()) {
    const uint64_t hash = fnv1a64(bytes_of(make(name)->document(1536, 5)));
    EXPECT_EQ(hash, pinned.contains(name) ? pinned.at(name) : 0)
        << fmt::format("{{\"{}\", 0x{:016x}ULL}},", name, hash);
  }
}

TEST(RulerTest, SaysWhenALengthIsTooSmall) {
  EXPECT_EQ(test::error_text<InvalidArgument>([] { make("niah_single_1")->document(200, 0); }),
            "[niah_single_1] length must hold a sample of size 5, 331 tokens with 128 for the "
            "answer; found 200");
  for (const std::string& name : ruler_task_names()) {
    EXPECT_THROW(make(name)->document(100, 0), InvalidArgument) << name;
    EXPECT_THROW(make(name)->document(0, 0), InvalidArgument) << name;
    EXPECT_THROW(make(name)->document(1 << 25, 0), InvalidArgument) << name;
    EXPECT_THROW(make(name)->document(4096, -1), InvalidArgument) << name;
  }
}

TEST(RulerTest, RefusesUnknownNamesBadOptionsAndMissingMaterial) {
  const auto error = [](auto&& call) { return test::error_text<InvalidArgument>(call); };
  EXPECT_TRUE(error([] {
                make("niah_single_4");
              }).starts_with("[ruler] task must be one of niah_single_1, niah_single_2"));
  RulerOptions options;
  options.questions = 0;
  EXPECT_EQ(error([&] { make("vt", options); }), "[ruler] questions must be in [1, 64]; found 0");
  const TaskResources nothing;
  EXPECT_EQ(error([&] { make_ruler_task("niah_single_2", nothing, {}, word_counter()); }),
            "[niah_single_2] need prose for the haystack; found none");
  EXPECT_EQ(error([&] { make_ruler_task("qa_1", nothing, {}, word_counter()); }),
            "[qa_1] need a corpus with questions; found none");
  EXPECT_EQ(error([&] { make_ruler_task("cwe", nothing, {}, nullptr); }),
            "[cwe] need a counter of tokens; found none");
  EXPECT_NO_THROW(make_ruler_task("niah_single_1", nothing, {}, word_counter()));
}

TEST(RulerTest, ScoresTheFractionOrAnyOfTheOutputs) {
  TaskQuestion question;
  question.outputs = {"12", "34"};
  const auto all = make("niah_multiquery"), part = make("qa_1");
  EXPECT_EQ(all->score(question, "..12..").score, 0.5);
  EXPECT_EQ(part->score(question, "..12..").score, 1.0);
  EXPECT_EQ(all->score(question, "").score, 0.0);
  EXPECT_EQ(part->score(question, "").score, 0.0);
  const TaskScore score = all->score(question, " 12\x01");
  EXPECT_EQ(score.parsed, "12");
  EXPECT_EQ(score.more, (std::map<std::string, double>{{"all", 0.5}, {"part", 1.0}}));
}

TEST(RulerTest, GoldAnswersScoreFully) {
  for (const std::string& name : ruler_task_names()) {
    const auto task = make(name);
    const TaskQuestion q = task->document(4096, 1).questions.at(0);
    EXPECT_EQ(task->score(q, fmt::format("{}", fmt::join(q.outputs, ", "))).score, 1.0) << name;
    EXPECT_EQ(task->score(q, "?").score, 0.0) << name;
  }
}

TEST(RulerTest, AWordingThatRepeatsTheValueIsAnErrorAndNoEndlessLoop) {
  TaskResources resources = made_up_resources();
  resources.templates.vt_statement = "VAR {name} = {value} ({value}).";
  EXPECT_NE(test::error_text<InvalidArgument>([&] {
              make_ruler_task("vt", resources, {}, word_counter())->document(2048, 0);
            }).find("vt_statement"),
            std::string::npos);
}

}  // namespace
}  // namespace limbeck
