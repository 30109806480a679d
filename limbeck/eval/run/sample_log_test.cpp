#include "limbeck/eval/run/sample_log.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/run/run_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

SampleUnit unit_of(const std::string& document, const std::string& method, double score) {
  SampleUnit out = test::made_up_unit(document, method, 0.5);
  out.rows[0].prediction = "a \xff b";  // models write what they like
  out.rows[0].score = score;
  out.rows.push_back(out.rows[0]);
  out.rows[1].q_id = "1";
  out.heads.kv_heads = 2;
  out.heads.kept = {3, 4};
  return out;
}

SampleKey key_of(const std::string& document, const std::string& method) {
  return {"vt", 512, document, method, 0.5};
}

TEST(SampleLogTest, WholeUnitsComeBack) {
  const test::ScratchFolder folder;
  const auto path = folder.path() / "samples.jsonl";
  {
    SampleLog log(path, "m");
    log.append(key_of("512-0", "kvzip"), unit_of("512-0", "kvzip", 0.25));
    log.append(key_of("512-0", "knorm"), unit_of("512-0", "knorm", 1.0));
  }
  const SampleLog log(path, "m");
  ASSERT_EQ(log.units().size(), 2U);
  const SampleUnit& unit = log.units().at(key_of("512-0", "kvzip"));
  ASSERT_EQ(unit.rows.size(), 2U);
  EXPECT_EQ(unit.rows[1].q_id, "1");
  EXPECT_EQ(unit.rows[0].score, 0.25);
  EXPECT_EQ(unit.heads.kept, (std::vector<int64_t>{3, 4}));
}

TEST(SampleLogTest, WhatIsBehindTheLastWholeUnitIsRemovedWhereverTheFileWasCut) {
  const test::ScratchFolder folder;
  const auto path = folder.path() / "samples.jsonl";
  size_t one = 0;
  {
    SampleLog log(path, "m");
    log.append(key_of("512-0", "kvzip"), unit_of("512-0", "kvzip", 1));
    one = std::filesystem::file_size(path);
    log.append(key_of("512-1", "kvzip"), unit_of("512-1", "kvzip", 0));
  }
  const std::string text = test::read_file(path);
  for (size_t size = one; size < text.size(); size += 37) {
    folder.write("samples.jsonl", std::string_view(text).substr(0, size));
    const SampleLog log(path, "m");
    EXPECT_TRUE(log.has(key_of("512-0", "kvzip")));
    EXPECT_FALSE(log.has(key_of("512-1", "kvzip"))) << size;
    EXPECT_EQ(std::filesystem::file_size(path), one);
  }
}

TEST(SampleLogTest, RefusesAnotherManifestNamingTheLine) {
  const test::ScratchFolder folder;
  const auto path = folder.path() / "samples.jsonl";
  SampleLog(path, "m").append(key_of("512-0", "kvzip"), unit_of("512-0", "kvzip", 1));
  try {
    SampleLog(path, "other");
    FAIL();
  } catch (const Mismatch& e) {
    EXPECT_NE(std::string(e.what()).find("line 1: belongs to manifest \"m\", not to other"),
              std::string::npos)
        << e.what();
  }
}

TEST(SampleLogTest, RefusesAUnitThatStandsTwiceOrMissesSamples) {
  const test::ScratchFolder folder;
  const auto path = folder.path() / "samples.jsonl";
  SampleLog(path, "m").append(key_of("512-0", "kvzip"), unit_of("512-0", "kvzip", 1));
  const std::string text = test::read_file(path);
  int64_t good = 0;
  EXPECT_THROW(read_samples(text + text, "f", "m", good), FormatError);
  const std::string fewer = text.substr(text.find('\n') + 1);
  EXPECT_THROW(read_samples(fewer, "f", "m", good), FormatError);
}

}  // namespace
}  // namespace limbeck
