#include "limbeck/eval/tasks/task_request.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

TEST(TaskRequestTest, HasANameAFileAndOptions) {
  const TaskRequest plain = parse_task_request("niah_multikey_1");
  EXPECT_EQ(plain.name, "niah_multikey_1");
  EXPECT_TRUE(plain.file.empty() && plain.options.empty() && plain.as.empty());
  const TaskRequest r = parse_task_request("longbench=a=b/trec.jsonl:dataset=trec_e:as=x");
  EXPECT_EQ(r.name, "longbench");
  EXPECT_EQ(r.file, "a=b/trec.jsonl");
  EXPECT_EQ(r.options, (OptionTexts{{"dataset", "trec_e"}}));
  EXPECT_EQ(r.as, "x");
}

TEST(TaskRequestTest, AColonEndsAValueOnlyBeforeAnOption) {
  const TaskRequest r =
      parse_task_request("needle_grid:question=Now: which one?:answer=4:prefix=a\\:answer=b");
  EXPECT_EQ(
      r.options,
      (OptionTexts{{"question", "Now: which one?"}, {"answer", "4"}, {"prefix", "a:answer=b"}}));
  EXPECT_EQ(parse_task_request("quality=http://x:1/y").file, "http://x:1/y");
}

TEST(TaskRequestTest, ListsSplitAtCommasWithoutABackslash) {
  const auto parts = split_task_list("vt,needle_grid:needle=One\\, two.,cwe");
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parse_task_request(parts[1]).options.at("needle"), "One, two.");
  EXPECT_EQ(parts[2], "cwe");
}

TEST(TaskRequestTest, ItsTextReadsBack) {
  TaskRequest r;
  r.name = "needle_grid";
  r.file = "a,b:c=d\\e.jsonl";
  r.as = "mine";
  r.options = {{"needle", "x:y=z, and \\n"}, {"seed", "7"}};
  const auto parts = split_task_list("vt," + task_request_text(r));
  ASSERT_EQ(parts.size(), 2U);
  const TaskRequest back = parse_task_request(parts[1]);
  EXPECT_EQ(back.file, r.file);
  EXPECT_EQ(back.options, r.options);
  EXPECT_EQ(back.as, r.as);
}

TEST(TaskRequestTest, RefusesWhatHasNoName) {
  EXPECT_EQ(test::error_text<InvalidArgument>([] { parse_task_request("=x"); }),
            "[tasks] a task must be NAME, or NAME=FILE; found \"=x\"");
  EXPECT_EQ(test::error_text<InvalidArgument>([] { parse_task_request("vt="); }),
            "[tasks] \"vt\" must have a file behind its =; found \"vt=\"");
  EXPECT_EQ(test::error_text<InvalidArgument>([] { parse_task_request("vt:seed=1:seed=2"); }),
            "[tasks] vt must have option seed once; found \"vt:seed=1:seed=2\"");
}

}  // namespace
}  // namespace limbeck
