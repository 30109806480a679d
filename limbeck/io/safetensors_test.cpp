#include "limbeck/io/safetensors.h"

#include "limbeck/base/error.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;
using test::ScratchFolder;

std::string file_of(std::string_view header, size_t data_bytes) {
  return test::raw<uint64_t>(header.size()) + std::string(header) + std::string(data_bytes, 'd');
}

std::string refusal(std::string_view bytes) {
  return error_text<FormatError>([&] { SafetensorsFile::parse(as_bytes(bytes), "m.safetensors"); });
}

std::string refusal(std::string_view header, size_t data_bytes) {
  return refusal(file_of(header, data_bytes));
}

constexpr std::string_view kTwo =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
    R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}   )";

TEST(SafetensorsTest, ReadsTensorsAndMetadata) {
  const std::string bytes = file_of(kTwo, 28);
  const auto file = SafetensorsFile::parse(as_bytes(bytes), "m.safetensors");
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a") << "in the order of the data";
  const StoredTensor& b = file.at("b");
  EXPECT_EQ(b.dtype, DType::f32);
  EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(b.data.data(), as_bytes(bytes).data() + 8 + kTwo.size() + 4);
  EXPECT_EQ(b.data.size(), 24u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(error_text<FormatError>([&] { file.at("c"); }),
            "[safetensors] m.safetensors: tensor \"c\" missing; found 2 other tensors");
}

TEST(SafetensorsTest, AcceptsNoTensorsScalarsAndEmptyTensors) {
  EXPECT_EQ(refusal("{}", 0), "");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                    R"("e":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},)"
                    R"("f":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}})",
                    8),
            "");
}

TEST(SafetensorsTest, RefusesEveryTruncation) {
  const std::string bytes = file_of(kTwo, 28);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal(std::string_view(bytes).substr(0, size)), "") << size;
  }
  EXPECT_EQ(
      refusal(std::string_view(bytes).substr(0, bytes.size() - 8)),
      "[safetensors] m.safetensors: data ends at 181, file has 173 bytes; incomplete download?");
  EXPECT_EQ(
      refusal(std::string_view(bytes).substr(0, 100)),
      "[safetensors] m.safetensors: header ends at 153, file has 100 bytes; incomplete download?");
}

TEST(SafetensorsTest, RefusesHeaderLengthsOutOfBounds) {
  EXPECT_EQ(refusal(test::raw<uint64_t>(312'000'000) + "{}"),
            "[safetensors] m.safetensors: header of 312 MB exceeds the cap of 100 MB");
  EXPECT_EQ(refusal(test::raw<uint64_t>(~uint64_t{0}) + "{}"),
            "[safetensors] m.safetensors: header of 18446744073710 MB exceeds the cap of 100 MB");
  EXPECT_EQ(refusal(test::raw<uint64_t>(1) + "{}"),
            "[safetensors] m.safetensors: header needs at least 2 bytes; found 1");
}

TEST(SafetensorsTest, RefusesHeadersThatAreNoJsonObject) {
  for (const char* header : {"[]", "12", "\"\"", " {}", "{}x", "{},", "{", "{\"a\":}", "nul",
                             "{'a':1}", "{\"\xff\":{}}", "\xEF\xBB\xBF{}"}) {
    EXPECT_NE(refusal(header, 0), "") << header;
  }
  EXPECT_NE(refusal(std::string_view("{}\0\0", 4), 0), "") << "NUL padding";
  EXPECT_EQ(refusal("{\"a\" 1}", 0),
            "[safetensors] m.safetensors: header is no valid JSON; the error is at its byte 6");
}

TEST(SafetensorsTest, RefusesDeepNestingAtTheFirstLevelTooMany) {
  EXPECT_EQ(refusal("{\"a\":{\"shape\":[[" + std::string(1'000'000, '['), 0),
            "[safetensors] m.safetensors: tensor \"a\": field \"shape\" must hold non-negative "
            "integers below 2^63; found a list");
}

TEST(SafetensorsTest, RefusesDuplicateKeys) {
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(refusal("{" + one + "," + one + "}", 1),
            "[safetensors] m.safetensors: name \"a\" appears twice in the header");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
            "[safetensors] m.safetensors: tensor \"a\": key \"dtype\" appears twice");
  EXPECT_NE(refusal(R"({"__metadata__":{"k":"1","k":"2"}})", 0), "");
  EXPECT_NE(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), "");
}

TEST(SafetensorsTest, RefusesMetadataThatIsNoText) {
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":1}})", 0),
            "[safetensors] m.safetensors: metadata \"k\" must be a text; found the number 1");
  EXPECT_NE(refusal(R"({"__metadata__":{"k":{}}})", 0), "");
  EXPECT_NE(refusal(R"({"__metadata__":[]})", 0), "");
}

TEST(SafetensorsTest, RefusesMissingUnknownAndWrongFields) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1]}})", 1),
            "[safetensors] m.safetensors: tensor \"a\": field \"data_offsets\" is missing");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1),
            "[safetensors] m.safetensors: tensor \"a\": fields are dtype, shape and data_offsets; "
            "found \"x\"");
  EXPECT_NE(refusal(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,1]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1), "");
  EXPECT_NE(refusal(R"({"a":7})", 1), "");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1),
            "[safetensors] m.safetensors: tensor \"a\": field \"shape\" must hold non-negative "
            "integers below 2^63; found -1");
}

TEST(SafetensorsTest, RefusesUnknownTypes) {
  EXPECT_EQ(
      refusal(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1),
      "[safetensors] m.safetensors: tensor \"a\": dtype must be F64, F32, F16, BF16, I64, I32, "
      "I16, I8, U8 or BOOL; found \"F8_E4M3\"");
}

TEST(SafetensorsTest, RefusesSizesThatDisagreeWithTheShape) {
  EXPECT_EQ(refusal(R"({"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,4096]}})", 4096),
            "[safetensors] m.safetensors: tensor \"x\": 4096 bytes in the file, shape [2,3] of F32 "
            "needs 24");
  EXPECT_EQ(
      refusal(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4),
      "[safetensors] m.safetensors: tensor \"x\": data must not end before it begins; found 4..0");
}

TEST(SafetensorsTest, RefusesShapesWhoseSizeOverflows) {
  for (const char* shape : {"[4611686018427387904,2]", "[4294967296,4294967296]",
                            "[9223372036854775807]", "[4611686018427387904,4,0]"}) {
    const std::string header =
        std::string(R"({"x":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0]}})";
    EXPECT_NE(refusal(header, 0).find("exceeds 2^63 bytes"), std::string::npos) << shape;
  }
  EXPECT_NE(
      refusal(R"({"x":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", 0),
      "");
  EXPECT_NE(refusal(R"({"x":{"dtype":"U8","shape":[9223372036854775807],)"
                    R"("data_offsets":[0,9223372036854775807]}})",
                    4)
                .find("incomplete download?"),
            std::string::npos);
}

std::string two_tensors(int b1, int e1, int b2, int e2) {
  return fmt::format(R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                     R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                     e1 - b1, b1, e1, e2 - b2, b2, e2);
}

TEST(SafetensorsTest, RefusesOverlappingTensors) {
  EXPECT_EQ(
      refusal(two_tensors(0, 4, 3, 8), 8),
      "[safetensors] m.safetensors: tensor \"b\": data begins at 3, the data before it ends at "
      "4; overlaps are not allowed");
  EXPECT_NE(refusal(two_tensors(0, 8, 0, 8), 8), "");
  EXPECT_NE(refusal(two_tensors(0, 8, 4, 4), 8), "") << "an empty tensor within another";
}

TEST(SafetensorsTest, RefusesHoles) {
  EXPECT_EQ(
      refusal(two_tensors(0, 4, 5, 8), 8),
      "[safetensors] m.safetensors: tensor \"b\": data begins at 5, the data before it ends at "
      "4; holes are not allowed");
  EXPECT_NE(refusal(two_tensors(1, 4, 4, 8), 8), "") << "at the start";
  EXPECT_NE(refusal(two_tensors(0, 4, 4, 8), 9).find("the rest is no tensor's"), std::string::npos);
  EXPECT_EQ(refusal(two_tensors(4, 8, 0, 4), 8), "");
}

TEST(SafetensorsTest, KeepsHostileNamesOutOfErrorTexts) {
  const std::string name(100'000, 'n');
  EXPECT_LT(refusal("{\"" + name + "\":1}", 0).size(), 300u);
}

TEST(SafetensorsTest, OpenSharesTheMapping) {
  const ScratchFolder folder;
  const auto path = folder.write("m.safetensors", file_of(kTwo, 28));
  std::shared_ptr<const MappedFile> mapping;
  {
    const auto file = SafetensorsFile::open(path);
    EXPECT_EQ(file.name(), "m.safetensors");
    mapping = file.mapping();
    EXPECT_EQ(file.at("a").data.data(), mapping->bytes().data() + 8 + kTwo.size());
  }
  EXPECT_EQ(mapping.use_count(), 1);
}

}  // namespace
}  // namespace limbeck
