// Writing, and checkpoints of one file or several.
#include "limbeck/base/error.h"
#include "limbeck/io/safetensors.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;
using test::ScratchFolder;

TensorToWrite tensor(std::string name, DType type, std::vector<int64_t> shape,
                     std::string_view data) {
  return {std::move(name), type, std::move(shape), as_bytes(data)};
}

TEST(SafetensorsWriteTest, ReadsBackWhatItWrote) {
  const ScratchFolder folder;
  const std::map<std::string, std::string> metadata{{"format", "kvc"}, {"quoted", "a\"b\n▁"}};
  write_safetensors(
      folder.path() / "x",
      {tensor("bytes", DType::u8, {3}, "xyz"), tensor("b", DType::f32, {1, 2}, "BBBBbbbb"),
       tensor("a", DType::f32, {1}, "aaaa"), tensor("long", DType::i64, {}, "12345678"),
       tensor("none", DType::f16, {0, 4}, "")},
      metadata);
  const auto file = SafetensorsFile::open(folder.path() / "x");
  EXPECT_EQ(file.metadata(), metadata);
  std::string order;
  for (const StoredTensor& t : file.tensors()) order += t.name + " ";
  EXPECT_EQ(order, "long a b none bytes ");
  EXPECT_EQ(file.at("b").shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(std::memcmp(file.at("b").data.data(), "BBBBbbbb", 8), 0);
  const auto start = file.at("long").data.data() - file.mapping()->bytes().data();
  EXPECT_EQ(start % 64, 0) << "data starts aligned";
  EXPECT_EQ(folder.count(), 1u);
}

TEST(SafetensorsWriteTest, WritesTheSameBytesForEveryOrderOfInput) {
  const ScratchFolder folder;
  const auto a = tensor("a", DType::f16, {1}, "aa"), b = tensor("b", DType::i32, {1}, "bbbb");
  write_safetensors(folder.path() / "1", {a, b}, {});
  write_safetensors(folder.path() / "2", {b, a}, {});
  EXPECT_EQ(test::read_file(folder.path() / "1"), test::read_file(folder.path() / "2"));
}

TEST(SafetensorsWriteTest, WritesAnEmptyFile) {
  const ScratchFolder folder;
  write_safetensors(folder.path() / "x", {}, {});
  EXPECT_TRUE(SafetensorsFile::open(folder.path() / "x").tensors().empty());
}

TEST(SafetensorsWriteTest, RefusesWhatItCouldNotReadBack) {
  const ScratchFolder folder;
  const auto refusal = [&](std::vector<TensorToWrite> tensors,
                           const std::map<std::string, std::string>& metadata = {}) {
    return error_text<InvalidArgument>(
        [&] { write_safetensors(folder.path() / "x", std::move(tensors), metadata); });
  };
  EXPECT_EQ(refusal({tensor("a", DType::u8, {1}, "1"), tensor("a", DType::f16, {1}, "22")}),
            "[safetensors.write] tensor \"a\" appears twice; names must differ");
  EXPECT_EQ(refusal({tensor("a", DType::f32, {2}, "1234")}),
            "[safetensors.write] tensor \"a\": shape [2] of F32 needs 8 bytes; found 4");
  EXPECT_NE(refusal({tensor("a", DType::u8, {-1}, "")}), "");
  EXPECT_NE(refusal({tensor("a", DType::u8, {int64_t{1} << 62, 4}, "")}), "");
  EXPECT_NE(refusal({tensor("__metadata__", DType::u8, {0}, "")}), "");
  EXPECT_NE(refusal({tensor("\xff", DType::u8, {0}, "")}), "");
  EXPECT_NE(refusal({}, {{"k", "\xff"}}), "");
  EXPECT_EQ(folder.count(), 0u);
}

TEST(SafetensorsWriteTest, FailsWithAResourceErrorWithoutTheFolder) {
  EXPECT_THROW(write_safetensors("no/such/folder/x", {}, {}), ResourceError);
}

class SafetensorsCheckpointTest : public testing::Test {
 protected:
  std::string index_refusal(std::string_view index) {
    folder_.write("model.safetensors.index.json", index);
    return error_text<FormatError>([&] { open_safetensors_checkpoint(folder_.path()); });
  }
  ScratchFolder folder_;
};

TEST_F(SafetensorsCheckpointTest, OpensASingleFile) {
  write_safetensors(folder_.path() / "model.safetensors", {tensor("a", DType::u8, {1}, "1")}, {});
  const auto checkpoint = open_safetensors_checkpoint(folder_.path());
  ASSERT_EQ(checkpoint.tensors.size(), 1u);
  EXPECT_EQ(checkpoint.tensors.at("a"), &checkpoint.files[0].at("a"));
  EXPECT_EQ(checkpoint.owners.at("a"), checkpoint.files[0].mapping());
}

TEST_F(SafetensorsCheckpointTest, OpensShards) {
  write_safetensors(folder_.path() / "s1",
                    {tensor("a", DType::u8, {1}, "1"), tensor("unmapped", DType::u8, {1}, "u")},
                    {});
  write_safetensors(folder_.path() / "s2", {tensor("b", DType::u8, {1}, "2")}, {});
  folder_.write("model.safetensors.index.json",
                R"({"metadata":{"total_size":3},"weight_map":{"a":"s1","b":"s2"}})");
  auto opened = open_safetensors_checkpoint(folder_.path());
  const SafetensorsCheckpoint checkpoint = std::move(opened);
  EXPECT_EQ(checkpoint.files.size(), 2u);
  ASSERT_EQ(checkpoint.tensors.size(), 2u);
  EXPECT_EQ(static_cast<char>(checkpoint.tensors.at("b")->data[0]), '2');
}

TEST_F(SafetensorsCheckpointTest, RefusesShardNamesThatLeaveTheFolder) {
  for (const char* name : {"../s1", "/etc/passwd", "..", ".", "", "a/b", "a\\\\b", "a\\u0000b"}) {
    const auto text = index_refusal(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name));
    EXPECT_NE(text.find("file of tensor \"a\" must be a plain file name"), std::string::npos)
        << name << ": " << text;
  }
}

TEST_F(SafetensorsCheckpointTest, RefusesABadIndex) {
  EXPECT_EQ(index_refusal("{}"),
            "[safetensors] model.safetensors.index.json: field \"weight_map\" "
            "must be an object; found nothing");
  EXPECT_NE(index_refusal("[]"), "");
  EXPECT_NE(index_refusal("{\"weight_map\":[]}"), "");
  EXPECT_NE(index_refusal("{\"weight_map\":{\"a\":1}}"), "");
  EXPECT_NE(index_refusal("{\"weight_map\":{\"a\":\"s1\",\"a\":\"s2\"}}"), "");
  EXPECT_NE(index_refusal("{"), "");
}

TEST_F(SafetensorsCheckpointTest, RefusesATensorThatItsShardDoesNotHold) {
  write_safetensors(folder_.path() / "s1", {tensor("a", DType::u8, {1}, "1")}, {});
  EXPECT_EQ(index_refusal(R"({"weight_map":{"a":"s1","b":"s1"}})"),
            "[safetensors] s1: tensor \"b\" missing; found 1 other tensors");
}

TEST_F(SafetensorsCheckpointTest, RefusesMissingFiles) {
  EXPECT_THROW(open_safetensors_checkpoint(folder_.path()), ResourceError);
  EXPECT_THROW(open_safetensors_checkpoint(folder_.path() / "none"), ResourceError);
  folder_.write("model.safetensors.index.json", R"({"weight_map":{"a":"s1"}})");
  EXPECT_THROW(open_safetensors_checkpoint(folder_.path()), ResourceError);
}

}  // namespace
}  // namespace limbeck
