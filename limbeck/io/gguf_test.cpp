#include "limbeck/io/gguf.h"

#include "limbeck/base/error.h"
#include "limbeck/io/gguf_builder.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;
using test::GgufBuilder;
using test::raw;

std::string refusal(std::string_view bytes) {
  return error_text<FormatError>([&] { GgufFile::parse(as_bytes(bytes), "m.gguf"); });
}

std::string list_of(const GgufBuilder& builder, uint32_t type, uint64_t count,
                    std::string_view elements) {
  return raw(type) + builder.count(count) + std::string(elements);
}

class GgufVersionTest : public testing::TestWithParam<uint32_t> {
 protected:
  std::string sample() const {
    GgufBuilder builder(GetParam());
    builder.key("general.architecture", 8, builder.text("llama"))
        .key("n", 4, raw<uint32_t>(7))
        .key("small", 1, raw<int8_t>(-3))
        .key("real", 6, raw(0.5f))
        .key("flag", 7, "\x01")
        .key("texts", 9, list_of(builder, 8, 2, builder.text("a") + builder.text("")))
        .key("ints", 9, list_of(builder, 5, 2, raw<int32_t>(-1) + raw<int32_t>(2)))
        .key("reals", 9, list_of(builder, 12, 1, raw(0.25)))
        .tensor("x", 0, {3, 2}, 0)
        .tensor("y", 8, {32}, 32);
    return builder.build(std::string(24, '\1') + std::string(8, '\0') + std::string(34, '\2'));
  }
};

TEST_P(GgufVersionTest, ReadsMetadataAndTensors) {
  const std::string bytes = sample();
  const auto file = GgufFile::parse(as_bytes(bytes), "m.gguf");
  EXPECT_EQ(file.version(), static_cast<int>(GetParam()));
  EXPECT_EQ(file.require_text("general.architecture"), "llama");
  EXPECT_EQ(file.require_integer("n"), 7);
  EXPECT_EQ(file.integer("small"), -3);
  EXPECT_EQ(file.number("real"), 0.5);
  EXPECT_EQ(file.number("n"), 7.0);
  EXPECT_EQ(file.boolean("flag"), true);
  EXPECT_EQ(*file.texts("texts"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(*file.integers("ints"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(*file.numbers("reals"), (std::vector<double>{0.25}));
  ASSERT_EQ(file.tensors().size(), 2u);
  const GgufTensor* x = file.find_tensor("x");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->shape, (std::vector<int64_t>{2, 3})) << "slowest first";
  EXPECT_EQ(x->data.size(), 24u);
  EXPECT_EQ(file.find_tensor("y")->data.data(), x->data.data() + 32);
  EXPECT_EQ(file.find_tensor("z"), nullptr);
}

TEST_P(GgufVersionTest, RefusesEveryTruncation) {
  const std::string bytes = sample();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal(std::string_view(bytes).substr(0, size)), "") << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, GgufVersionTest, testing::Values(1, 2, 3));

TEST(GgufTest, AbsentAndWrongKeys) {
  GgufBuilder builder;
  const std::string bytes = builder.key("k", 6, raw(1.0f)).build();
  const auto file = GgufFile::parse(as_bytes(bytes), "m.gguf");
  EXPECT_EQ(file.text("none"), std::nullopt);
  EXPECT_EQ(file.texts("none"), nullptr);
  EXPECT_EQ(error_text<FormatError>([&] { file.integer("k"); }),
            "[gguf] m.gguf: metadata \"k\" must be an integer; found a number");
  EXPECT_THROW(file.texts("k"), FormatError);
  EXPECT_THROW(file.boolean("k"), FormatError);
  EXPECT_EQ(error_text<FormatError>([&] { file.require_integer("none"); }),
            "[gguf] m.gguf: metadata \"none\" is required; found nothing");
  EXPECT_THROW(file.require_text("none"), FormatError);
}

TEST(GgufTest, RefusesOtherFormatsAndVersions) {
  EXPECT_EQ(refusal("GGML....rest"),
            "[gguf] m.gguf: file must begin with \"GGUF\"; found bytes 47 47 4d 4c");
  EXPECT_EQ(refusal("GGUF" + raw<uint32_t>(4)), "[gguf] m.gguf: version must be 1 to 3; found 4");
  EXPECT_NE(refusal("GGUF" + raw<uint32_t>(0)), "");
  EXPECT_EQ(refusal("GGUF" + std::string("\0\0\0\3", 4)),
            "[gguf] m.gguf: big-endian files are not supported; found version bytes of one");
}

TEST(GgufTest, RefusesCountsAboveTheCaps) {
  EXPECT_EQ(refusal(GgufBuilder().counts(65'537, 0).build()),
            "[gguf] m.gguf: number of tensors of 65537 exceeds the cap of 65536");
  EXPECT_EQ(
      refusal(GgufBuilder().counts(0, ~uint64_t{0}).build()),
      "[gguf] m.gguf: number of metadata keys of 18446744073709551615 exceeds the cap of 65536");
}

TEST(GgufTest, RefusesLengthsBeyondTheFile) {
  const GgufBuilder empty;
  const auto with_key = [&](uint32_t type, const std::string& value) {
    return refusal(GgufBuilder().key("k", type, value).build());
  };
  for (const uint64_t length : {uint64_t{1000}, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_NE(with_key(8, raw(length)).find("incomplete download?"), std::string::npos);
    for (const uint32_t type : {0, 3, 5, 7, 8, 10, 12}) {
      EXPECT_NE(with_key(9, raw(type) + raw(length)).find("list must fit the file"),
                std::string::npos);
    }
  }
  EXPECT_NE(refusal("GGUF" + raw<uint32_t>(3) + raw<uint64_t>(0) + raw<uint64_t>(1) +
                    raw<uint64_t>(70'000)),
            "");
}

TEST(GgufTest, RefusesValuesItCannotRepresent) {
  const auto with_key = [](uint32_t type, const std::string& value) {
    return refusal(GgufBuilder().key("k", type, value).build());
  };
  EXPECT_EQ(with_key(13, ""), "[gguf] m.gguf: metadata \"k\": type must be 0 to 12; found 13");
  EXPECT_EQ(with_key(9, raw<uint32_t>(9) + raw<uint64_t>(0)),
            "[gguf] m.gguf: metadata \"k\": lists of lists are not supported; found one");
  EXPECT_EQ(with_key(7, "\x02"),
            "[gguf] m.gguf: metadata \"k\": true or false must be 1 or 0; found 2");
  EXPECT_EQ(with_key(10, raw(~uint64_t{0})),
            "[gguf] m.gguf: metadata \"k\": integers must be below "
            "2^63; found 18446744073709551615");
}

TEST(GgufTest, RefusesDuplicateNames) {
  EXPECT_EQ(refusal(GgufBuilder().key("k", 7, "\1").key("k", 7, "\1").build()),
            "[gguf] m.gguf: metadata \"k\": must appear once; found twice");
  EXPECT_EQ(refusal(GgufBuilder()
                        .tensor("x", 0, {1}, 0)
                        .tensor("x", 0, {1}, 32)
                        .build(std::string(36, '\0'))),
            "[gguf] m.gguf: tensor \"x\" must appear once; found twice");
}

TEST(GgufTest, RefusesBadAlignments) {
  for (const uint32_t alignment : {0u, 3u, 48u, 0x80000000u}) {
    const auto text = refusal(GgufBuilder().key("general.alignment", 4, raw(alignment)).build());
    EXPECT_NE(text.find("must be a power of two"), std::string::npos) << alignment;
  }
  EXPECT_NE(refusal(GgufBuilder().key("general.alignment", 6, raw(32.0f)).build()), "");
  const auto aligned = [](uint64_t offset) {
    return refusal(GgufBuilder()
                       .key("general.alignment", 4, raw<uint32_t>(64))
                       .tensor("x", 0, {1}, offset)
                       .build(std::string(100, '\0'), 64));
  };
  EXPECT_EQ(aligned(64), "");
  EXPECT_EQ(aligned(32), "[gguf] m.gguf: tensor \"x\": offset must be a multiple of 64; found 32");
}

TEST(GgufTest, RefusesBadTensors) {
  const auto with = [](uint32_t type, const std::vector<uint64_t>& extents, uint64_t offset = 0) {
    return refusal(GgufBuilder().tensor("x", type, extents, offset).build(std::string(64, '\0')));
  };
  EXPECT_EQ(with(0, {16}), "");
  EXPECT_EQ(with(0, {17}),
            "[gguf] m.gguf: tensor \"x\": 68 bytes at offset 0 exceed the data of 64 "
            "bytes; incomplete download?");
  EXPECT_NE(with(0, {1}, 64), "");
  EXPECT_NE(with(0, {1}, ~uint64_t{0} - 31), "");
  EXPECT_EQ(with(0, {1, 1, 1, 1, 1}), "[gguf] m.gguf: tensor \"x\": at most 4 dimensions; found 5");
  EXPECT_NE(with(0, {0}), "");
  EXPECT_NE(with(0, {uint64_t{1} << 63}), "");
  EXPECT_NE(with(0, {uint64_t{1} << 32, uint64_t{1} << 32}), "");
  EXPECT_NE(with(0, {uint64_t{1} << 62}), "") << "bytes overflow, elements do not";
  EXPECT_EQ(with(8, {33}),
            "[gguf] m.gguf: tensor \"x\": rows of Q8_0 must be multiples of 32; found 33");
  EXPECT_EQ(
      with(11, {256}),
      "[gguf] m.gguf: tensor \"x\": type 11 (Q3_K) is not supported; use F32, F16, BF16, Q4_0, "
      "Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K");
}

TEST(GgufTest, RefusesTensorsThatShareBytes) {
  EXPECT_EQ(refusal(GgufBuilder()
                        .tensor("x", 0, {9}, 0)
                        .tensor("y", 0, {1}, 32)
                        .build(std::string(64, '\0'))),
            "[gguf] m.gguf: tensor \"y\": must not share bytes with \"x\"; found offset 32");
}

TEST(GgufTest, AcceptsAVocabularyWithoutTensors) {
  std::string bytes = GgufBuilder().key("k", 7, "\1").build();
  bytes.resize(bytes.size() - 5);  // no padding at the end
  EXPECT_EQ(refusal(bytes), "");
}

TEST(GgufTest, ReadsWhatTheReferenceWriterWrote) {
  const auto file = GgufFile::open("limbeck/io/testdata/gguf_small.bin");
  EXPECT_EQ(file.version(), 3);
  EXPECT_EQ(file.name(), "gguf_small.bin");
  EXPECT_EQ(file.require_text("general.architecture"), "llama");
  EXPECT_EQ(file.require_integer("llama.block_count"), 2);
  EXPECT_EQ(file.number("llama.rope.freq_base"), 10000.0);
  EXPECT_EQ(file.integer("test.negative"), -5);
  EXPECT_EQ(file.boolean("tokenizer.ggml.add_bos_token"), false);
  EXPECT_EQ(file.text("test.text"), "größer");
  EXPECT_EQ(*file.texts("tokenizer.ggml.tokens"), (std::vector<std::string>{"a", "", "bc", "▁d"}));
  EXPECT_EQ(*file.numbers("tokenizer.ggml.scores"), (std::vector<double>{0.5, -1.25}));
  EXPECT_EQ(*file.integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{1, 2, 3}));
  const GgufTensor* packed = file.find_tensor("packed");
  ASSERT_NE(packed, nullptr);
  EXPECT_EQ(packed->type, GgufType::q8_0);
  EXPECT_EQ(packed->shape, (std::vector<int64_t>{3, 64}));
  std::vector<float> plain(6);
  gguf_dequantize(*file.find_tensor("plain"), 0, 6, plain);
  EXPECT_EQ(plain, (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(GgufTest, ReadsARealModelOfVersionOne) {
  const char* folder = std::getenv("LIMBECK_TEST_DATA");
  const auto path = std::filesystem::path(folder != nullptr ? folder : "../shared/data") /
                    "models" / "tinyllamas-stories-260k-f32.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto file = GgufFile::open(path);
  EXPECT_EQ(file.version(), 1);
  EXPECT_EQ(file.require_text("general.architecture"), "llama");
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")->size(), 512u);
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (std::vector<int64_t>{512, 64}));
  std::vector<float> row(64);
  gguf_dequantize(*embedding, 64, 128, row);
  EXPECT_EQ(std::memcmp(row.data(), embedding->data.data() + 256, 256), 0);
}

}  // namespace
}  // namespace limbeck
