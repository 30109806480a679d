#include "limbeck/eval/tasks/stream.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <set>

namespace limbeck {
namespace {

Random pinned() { return task_stream(42, "niah_single_1", 4096, 0); }

TEST(StreamTest, KeyAndOutputsArePinned) {
  const std::string key = stream_key(42, "niah_single_1", 4096, "0");
  EXPECT_EQ(key, "42|niah_single_1|4096|0");
  EXPECT_EQ(fnv1a64(key), 0x7ffcbdf6f9ccb30dULL);
  Random random = pinned();
  EXPECT_EQ(random(), 0x96d2bd067e034463ULL);
  EXPECT_EQ(random(), 0x40a8e72f59941106ULL);
  EXPECT_EQ(random(), 0xdb9cd89b16b88c6fULL);
  Random zero(0);
  EXPECT_EQ(zero(), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(zero(), 0x6e789e6aa1b965f4ULL);
  EXPECT_EQ(zero(), 0x06c45d188009454fULL);
}

TEST(StreamTest, ShuffleIsPinned) {
  std::vector<int> items(10);
  std::iota(items.begin(), items.end(), 0);
  Random random = pinned();
  shuffle(random, items);
  EXPECT_EQ(items, (std::vector<int>{3, 8, 1, 4, 9, 7, 0, 6, 2, 5}));
}

TEST(StreamTest, SampleIsPinned) {
  Random random = pinned();
  EXPECT_EQ(sample_indices(random, 40, 4), (std::vector<int64_t>{23, 10, 34, 6}));
}

TEST(StreamTest, NumbersAndUuidArePinned) {
  Random random = pinned();
  EXPECT_EQ(uniform_int(random, 1000000, 9999999), 6302378);
  EXPECT_EQ(uniform_int(random, 1000000, 9999999), 3273195);
  EXPECT_EQ(uniform_int(random, 1000000, 9999999), 8720758);
  Random again = pinned();
  EXPECT_EQ(random_uuid(again), "96d2bd06-7e03-4463-80a8-e72f59941106");
  Random once = pinned();
  EXPECT_EQ(once.uniform(), 0.5891531124925793);
}

TEST(StreamTest, UuidsHaveVersionAndVariant) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const std::string uuid = random_uuid(random);
    ASSERT_EQ(uuid.size(), 36U);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
  }
}

TEST(StreamTest, ShuffleAndSampleHandleSmallSizes) {
  Random random(3);
  std::vector<int> none, one = {7};
  shuffle(random, none);
  shuffle(random, one);
  EXPECT_EQ(one, std::vector<int>{7});
  EXPECT_TRUE(sample_indices(random, 0, 0).empty());
  const auto all = sample_indices(random, 30, 30);
  EXPECT_EQ(std::set<int64_t>(all.begin(), all.end()).size(), 30U);
}

TEST(StreamTest, RefusesMoreThanThereAre) {
  EXPECT_EQ(test::error_text<InvalidArgument>([] {
              Random random(0);
              sample_indices(random, 3, 4);
            }),
            "[sample] can draw 0 to 3 distinct numbers; found 4");
}

}  // namespace
}  // namespace limbeck
