#include "limbeck/eval/run/task_prompt.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/eval_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

const LanguageModel& model() {
  static const LanguageModel lm = test::tiny_language_model();
  return lm;
}

TEST(TaskPromptTest, WhatFitsIsLeftAsItIs) {
  const TaskPrompt prompt(model(), false);
  const std::vector<int32_t> ids = prompt.document("The sea was calm, and no wind came.");
  for (const Truncation how : {Truncation::none, Truncation::middle, Truncation::end}) {
    bool cut = true;
    EXPECT_EQ(prompt.fit(ids, static_cast<int64_t>(ids.size()), how, cut), ids);
    EXPECT_FALSE(cut);
  }
}

TEST(TaskPromptTest, TheEndOrTheMiddleIsLost) {
  const TaskPrompt prompt(model(), false);
  const std::string book = test::made_up_book(20, 3);
  const std::vector<int32_t> ids = prompt.document(book);
  bool cut = false;
  for (const int64_t room : {40, 41}) {
    EXPECT_EQ(prompt.fit(ids, room, Truncation::end, cut),
              std::vector<int32_t>(ids.begin(), ids.begin() + room));
    EXPECT_TRUE(cut);
    // The first and the last half of the room, rounded down, joined as a text.
    const std::vector<int32_t> middle = prompt.fit(ids, room, Truncation::middle, cut);
    const std::span<const int32_t> all(ids);
    EXPECT_TRUE(cut);
    EXPECT_LE(static_cast<int64_t>(middle.size()), room);
    EXPECT_EQ(middle, prompt.document(model().tokenizer.decode(all.first(20)) +
                                      model().tokenizer.decode(all.last(20))));
  }
}

TEST(TaskPromptTest, ASeamWithinACharacterStillFits) {
  const TaskPrompt prompt(model(), false);
  std::string text;
  for (int i = 0; i < 60; ++i) text += "\u4e2d\u6587\u00e9 ";
  const std::vector<int32_t> ids = prompt.document(text);
  for (int64_t room = 12; room < 40; ++room) {
    bool cut = false;
    const std::vector<int32_t> middle = prompt.fit(ids, room, Truncation::middle, cut);
    EXPECT_LE(static_cast<int64_t>(middle.size()), room);
    EXPECT_FALSE(middle.empty());
  }
}

TEST(TaskPromptTest, NoRoomIsAnError) {
  const TaskPrompt prompt(model(), false);
  const std::vector<int32_t> ids = prompt.document(test::made_up_book(5, 3));
  bool cut = false;
  EXPECT_THROW(prompt.fit(ids, 10, Truncation::none, cut), InvalidArgument);
  for (const Truncation how : {Truncation::middle, Truncation::end})
    EXPECT_THROW(prompt.fit(ids, 1, how, cut), InvalidArgument);
}

TEST(TaskPromptTest, AnAnswerGoesOnBehindABlank) {
  const TaskPrompt prompt(model(), false);
  const auto& tokenizer = model().tokenizer;
  std::vector<int32_t> whole = tokenizer.encode("The answer is:");
  const std::vector<int32_t> more = prompt.continued("The answer is:", "Paris");
  whole.insert(whole.end(), more.begin(), more.end());
  EXPECT_EQ(tokenizer.decode(whole), "The answer is: Paris");
}

}  // namespace
}  // namespace limbeck
