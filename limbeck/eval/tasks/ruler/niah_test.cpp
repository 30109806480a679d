#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/ruler/ruler.h"
#include "limbeck/eval/tasks/tasks_testing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace limbeck {
namespace {

using test::made_up_resources;
using test::word_counter;
using Strings = std::vector<std::string>;

constexpr int64_t kSamples = 2000;

std::unique_ptr<Task> make(std::string_view name, const RulerOptions& options = {}) {
  return make_ruler_task(name, made_up_resources(), options, word_counter());
}

TEST(NeedlesTest, ListsReadAsEnglish) {
  EXPECT_EQ(list_text(Strings{"a"}), "a");
  EXPECT_EQ(list_text(Strings{"a", "b"}), "a and b");
  EXPECT_EQ(list_text(Strings{"a", "b", "c"}), "a, b, and c");
}

TEST(NeedlesTest, CountsOverlappingOccurrences) {
  EXPECT_EQ(count_occurrences("aaa", "aa"), 2);
  EXPECT_EQ(count_occurrences("", "a"), 0);
}

TEST(NeedlesTest, InsertsBeforeSentencesAndAtTheEnd) {
  EXPECT_EQ(insert_sentences({"A.", "B."}, {"1", "2", "3"}, {0, 1, 2}), "1 A. 2 B. 3");
  EXPECT_EQ(insert_sentences({"A."}, {"1", "2"}, {1, 1}), "A. 1 2");
  EXPECT_EQ(insert_sentences({}, {"1"}, {0}), "1");
}

TEST(NiahTest, MeanDepthIsTheMiddle) {
  for (const char* name : {"niah_single_2", "niah_multivalue"}) {
    const auto task = make(name);
    double sum = 0;
    std::set<int64_t> seen;
    int64_t count = 0;
    for (int64_t i = 0; i < kSamples; ++i) {
      const TaskDocument document = task->document(1024, i);
      for (const int64_t depth : document.facts["depths"]) {
        sum += static_cast<double>(depth);
        seen.insert(depth);
        ++count;
      }
    }
    EXPECT_NEAR(sum / static_cast<double>(count), 50, 2.5) << name;
    EXPECT_EQ(seen.size(), 40U);
    EXPECT_TRUE(seen.contains(0) && seen.contains(3) && seen.contains(49) && seen.contains(100));
  }
}

TEST(NiahTest, LinesOfNeedlesAreUniform) {
  constexpr int64_t kBins = 20;
  for (const char* name : {"niah_single_1", "niah_multikey_2", "niah_multikey_3"}) {
    const auto task = make(name);
    std::vector<double> found(kBins), expected(kBins);
    for (int64_t i = 0; i < kSamples; ++i) {
      const TaskDocument document = task->document(2048, i);
      const int64_t x = document.facts["x"], line = document.facts["lines"][0];
      ASSERT_LT(line, x);
      ++found[static_cast<size_t>(line * kBins / x)];
      for (int64_t j = 0; j < x; ++j)
        expected[static_cast<size_t>(j * kBins / x)] += 1.0 / static_cast<double>(x);
    }
    double chi = 0;
    for (size_t b = 0; b < kBins; ++b)
      chi += (found[b] - expected[b]) * (found[b] - expected[b]) / expected[b];
    EXPECT_LT(chi, 43.82) << name;  // p = 0.001 at 19 degrees of freedom
  }
}

TEST(NiahTest, EveryQueriedValueOccursOnceAndIsBoundToItsKey) {
  for (const std::string& name : ruler_task_names()) {
    if (!name.starts_with("niah")) continue;
    const auto task = make(name);
    for (int64_t i = 0; i < kSamples; ++i) {
      const TaskDocument d = task->document(1024, i);
      ASSERT_EQ(d.questions.size(), 1U);
      const TaskQuestion& q = d.questions[0];
      const Strings keys = q.facts["keys"];
      ASSERT_EQ(keys.size(), name == "niah_multiquery" ? 4U : 1U);
      ASSERT_EQ(q.outputs.size(),
                name.starts_with("niah_multiq") || name == "niah_multivalue" ? 4U : 1U);
      for (size_t k = 0; k < q.outputs.size(); ++k) {
        ASSERT_EQ(count_occurrences(d.text, q.outputs[k]), 1) << name << " " << i;
        const std::string bound =
            fmt::format("{}: {}.", keys[keys.size() > 1 ? k : 0], q.outputs[k]);
        ASSERT_EQ(count_occurrences(d.text, bound), 1) << name << " " << i;
      }
      for (const std::string& key : keys) ASSERT_EQ(count_occurrences(q.text, key), 1);
    }
  }
}

TEST(NiahTest, SingularWhenOneValueIsAsked) {
  const TaskDocument one = make("niah_single_3")->document(1024, 0);
  EXPECT_TRUE(one.text.starts_with("A secret UUID is hidden"));
  EXPECT_TRUE(one.questions[0].text.starts_with("Which secret UUID was given to "));
  EXPECT_TRUE(one.questions[0].answer_prefix.ends_with(" is"));
  const TaskDocument many = make("niah_multiquery")->document(1024, 0);
  EXPECT_TRUE(many.text.starts_with("Secret numbers are hidden"));
  EXPECT_TRUE(many.questions[0].answer_prefix.ends_with(" are"));
  EXPECT_EQ(count_occurrences(many.questions[0].text, ", and "), 1);
}

TEST(NiahTest, HaystackLinesAreXAndTheNeedleStandsBeforeItsLine) {
  const auto task = make("niah_multikey_2");
  const TaskDocument d = task->document(2048, 4);
  const size_t begin = d.text.find("\n\n") + 2;
  const std::string haystack = d.text.substr(begin, d.text.size() - begin - 2);
  EXPECT_EQ(count_occurrences(haystack, "\n"), d.facts["x"].get<int64_t>());
  const size_t at = haystack.find(d.questions[0].outputs[0]);
  EXPECT_EQ(count_occurrences(std::string_view(haystack).substr(0, at), "\n"),
            d.facts["lines"][0].get<int64_t>());
}

TEST(NiahTest, OffsetZeroBeginsEverySampleAlike) {
  RulerOptions options;
  options.offset = "zero";
  const auto zero = make("niah_single_2", options), random = make("niah_single_2");
  std::set<int64_t> offsets;
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(zero->document(1024, i).facts["offset"], 0);
    offsets.insert(random->document(1024, i).facts["offset"].get<int64_t>());
  }
  EXPECT_GT(offsets.size(), 15U);
}

TEST(NiahTest, ManyQuestionsAskOtherKeysOfTheSameDocument) {
  RulerOptions options;
  options.questions = 6;
  for (const char* name : {"niah_multikey_1", "niah_multikey_2", "niah_multikey_3"}) {
    const auto task = make(name, options);
    EXPECT_EQ(task->info().name, fmt::format("{}+mq", name));
    const TaskDocument d = task->document(2048, 2);
    ASSERT_EQ(d.questions.size(), std::string_view(name) == "niah_multikey_1" ? 4U : 6U);
    std::set<std::string> texts, ids;
    for (const TaskQuestion& q : d.questions) {
      texts.insert(q.text);
      ids.insert(q.id);
      EXPECT_EQ(count_occurrences(d.text, q.outputs.at(0)), 1);
    }
    EXPECT_EQ(texts.size(), d.questions.size());
    EXPECT_EQ(ids.size(), d.questions.size());
    EXPECT_EQ(d.questions[0].text, make(name)->document(2048, 2).questions[0].text);
    EXPECT_LE(d.facts["tokens"].get<int64_t>(), 2048);
  }
  EXPECT_EQ(make("niah_single_1", options)->info().name, "niah_single_1");
  EXPECT_EQ(make("niah_single_1", options)->document(1024, 0).questions.size(), 1U);
}

}  // namespace
}  // namespace limbeck
