#include "limbeck/eval/tasks/json_kv.h"

#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/tasks_testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

namespace limbeck {
namespace {

/// About what a tokenizer makes of UUIDs: a token for 2 bytes.
int64_t half_bytes(std::string_view document, std::string_view question, std::string_view prefix) {
  return static_cast<int64_t>(document.size() + question.size() + prefix.size() + 1) / 2;
}

std::unique_ptr<Task> make(const JsonKvOptions& options = {}, PromptCounter counter = half_bytes) {
  return make_json_kv(test::made_up_resources(), options, std::move(counter));
}

nlohmann::ordered_json object_of(const TaskDocument& d) {
  const size_t begin = d.text.find('{');
  return nlohmann::ordered_json::parse(d.text.substr(begin, d.text.rfind('}') + 1 - begin));
}

TEST(JsonKvTest, HasThePublishedPairsAtThePublishedLengths) {
  EXPECT_EQ(helmet_json_pairs(4096), 50);
  EXPECT_EQ(helmet_json_pairs(131072), 1800);
  EXPECT_EQ(helmet_json_pairs(4097), 0);
  EXPECT_EQ(helmet_json_pairs(262144), 0);
  const auto task = make();
  EXPECT_EQ(task->document(4096, 0).facts["x"], 50);
  EXPECT_EQ(task->document(8192, 0).facts["x"], 105);
  // A tokenizer that needs more room gets fewer; other lengths are filled.
  const auto costly = make({}, [](auto d, auto q, auto p) { return 2 * half_bytes(d, q, p); });
  EXPECT_LT(costly->document(4096, 0).facts["x"].get<int64_t>(), 50);
  const TaskDocument filled = task->document(5000, 0);
  EXPECT_GT(filled.facts["x"].get<int64_t>(), 105);
  EXPECT_GE(filled.facts["tokens"].get<int64_t>(), 5000 - 2 * 42);
  EXPECT_LE(filled.facts["tokens"].get<int64_t>(), 5000);
}

TEST(JsonKvTest, AsksAtSixEvenDepthsWithTwoOtherPairsShown) {
  const auto task = make();
  for (int64_t i = 0; i < 12; ++i) {
    const TaskDocument d = task->document(4096, i);
    const auto object = object_of(d);
    ASSERT_EQ(object.size(), 50U);
    const TaskQuestion& q = d.questions.at(0);
    const std::string key = q.text.substr(q.text.rfind("Key: ") + 5);
    EXPECT_EQ(object.at(key), q.outputs.at(0));
    const int64_t places[] = {0, 10, 20, 29, 39, 49};
    EXPECT_EQ(q.facts["pair"], places[i % 6]);
    EXPECT_EQ(std::next(object.begin(), places[i % 6]).key(), key);
    EXPECT_EQ(count_occurrences(q.text, "Key: "), 3);
    EXPECT_EQ(count_occurrences(q.text, key), 1);
    EXPECT_EQ(q.answer_prefix, "Corresponding value:");
  }
}

TEST(JsonKvTest, AsksForMoreKeysOfTheSameObject) {
  JsonKvOptions options;
  options.questions = 5;
  const auto task = make(options);
  EXPECT_EQ(task->info().name, "json_kv+mq");
  const TaskDocument d = task->document(4096, 3), one = make()->document(4096, 3);
  ASSERT_EQ(d.questions.size(), 5U);
  EXPECT_EQ(d.text, one.text);
  EXPECT_EQ(d.questions[0].text, one.questions[0].text);
  std::set<int64_t> pairs;
  for (const TaskQuestion& q : d.questions) pairs.insert(q.facts["pair"].get<int64_t>());
  EXPECT_EQ(pairs.size(), 5U);
}

TEST(JsonKvTest, ScoresTheRawOrTheParsedAnswer) {
  const auto task = make();
  const TaskQuestion q = task->document(4096, 1).questions.at(0);
  const std::string& value = q.outputs[0];
  EXPECT_EQ(task->score(q, " " + value + "\nKey: x").score, 1.0);
  EXPECT_EQ(task->score(q, "corresponding value: " + value).parsed, value);
  EXPECT_EQ(task->score(q, "no\n" + value).score, 1.0);
  EXPECT_EQ(task->score(q, value.substr(1)).score, 0.0);
}

TEST(JsonKvTest, BytesArePinned) {
  EXPECT_EQ(fnv1a64(test::bytes_of(make()->document(1536, 5))), 0xdbd68c3934926066ULL);
}

}  // namespace
}  // namespace limbeck
