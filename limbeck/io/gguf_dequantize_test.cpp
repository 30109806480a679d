#include "limbeck/base/error.h"
#include "limbeck/io/gguf.h"
#include "limbeck/io/gguf_cursor.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;

constexpr GgufType kAllTypes[] = {GgufType::f32,  GgufType::f16,  GgufType::bf16, GgufType::q4_0,
                                  GgufType::q4_1, GgufType::q5_0, GgufType::q5_1, GgufType::q8_0,
                                  GgufType::q4_k, GgufType::q5_k, GgufType::q6_k};

GgufTensor tensor_of(GgufType type, std::string_view bytes) {
  const int64_t blocks = static_cast<int64_t>(bytes.size()) / gguf_block_bytes(type);
  return {"x", type, {blocks * gguf_block_elements(type)}, as_bytes(bytes)};
}

/// Blocks and what the Python package makes of them; tools/make_gguf_fixture.py explains the
/// layout.
struct Record {
  GgufType type;
  std::string stored;
  std::vector<float> values;
};

std::vector<Record> read_fixture() {
  const std::string bytes = test::read_file("limbeck/io/testdata/gguf_blocks.bin");
  GgufCursor cursor(as_bytes(bytes), "gguf_blocks.bin");
  std::vector<Record> records;
  while (cursor.left() > 0) {
    Record record{static_cast<GgufType>(cursor.read<uint32_t>("type")), "", {}};
    const auto stored = cursor.read<uint32_t>("stored"), values = cursor.read<uint32_t>("values");
    for (uint32_t i = 0; i < stored; ++i) record.stored += cursor.read<char>("byte");
    for (uint32_t i = 0; i < values; ++i) record.values.push_back(cursor.read<float>("value"));
    records.push_back(std::move(record));
  }
  return records;
}

TEST(GgufDequantizeTest, EqualsTheReferenceBitForBit) {
  std::set<GgufType> seen;
  for (const Record& record : read_fixture()) {
    const GgufTensor tensor = tensor_of(record.type, record.stored);
    ASSERT_EQ(tensor.elements(), static_cast<int64_t>(record.values.size()));
    std::vector<float> out(record.values.size());
    gguf_dequantize(tensor, 0, tensor.elements(), out);
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(record.values[i]))
          << gguf_type_name(record.type) << " weight " << i << ": " << out[i] << " and "
          << record.values[i];
    }
    seen.insert(record.type);
  }
  EXPECT_EQ(seen.size(), std::size(kAllTypes));
}

TEST(GgufDequantizeTest, RangesGiveTheSameAsTheWhole) {
  for (const Record& record : read_fixture()) {
    const GgufTensor tensor = tensor_of(record.type, record.stored);
    const int64_t block = gguf_block_elements(record.type), begin = 3 * block, end = 7 * block;
    std::vector<float> out(static_cast<size_t>(end - begin));
    gguf_dequantize(tensor, begin, end, out);
    EXPECT_EQ(std::memcmp(out.data(), record.values.data() + begin, out.size() * sizeof(float)), 0)
        << gguf_type_name(record.type);
  }
}

TEST(GgufDequantizeTest, ExpandsEveryHalf) {
  std::string stored;
  for (uint32_t half = 0; half < 65'536; ++half) stored += test::raw(static_cast<uint16_t>(half));
  std::vector<float> out(65'536);
  gguf_dequantize(tensor_of(GgufType::f16, stored), 0, 65'536, out);
  for (uint32_t half = 0; half < 65'536; ++half) {
    const int exponent = static_cast<int>(half >> 10 & 0x1F), fraction = half & 0x3FF;
    if (exponent == 31 && fraction != 0) {
      EXPECT_TRUE(std::isnan(out[half])) << half;
      continue;
    }
    double value =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) value = std::numeric_limits<double>::infinity();
    const auto expected = static_cast<float>((half & 0x8000) != 0 ? -value : value);
    EXPECT_EQ(std::bit_cast<uint32_t>(out[half]), std::bit_cast<uint32_t>(expected)) << half;
  }
}

TEST(GgufDequantizeTest, AcceptsEmptyRanges) {
  for (const GgufType type : kAllTypes) gguf_dequantize(tensor_of(type, ""), 0, 0, {});
}

TEST(GgufDequantizeTest, RefusesRangesThatDoNotFit) {
  const std::string stored(2 * 34, '\0');
  const GgufTensor tensor = tensor_of(GgufType::q8_0, stored);
  std::vector<float> out(32);
  const auto refusal = [&](int64_t begin, int64_t end) {
    return error_text<InvalidArgument>([&] { gguf_dequantize(tensor, begin, end, out); });
  };
  EXPECT_EQ(refusal(32, 64), "");
  EXPECT_EQ(refusal(16, 48),
            "[gguf_dequantize] tensor \"x\": range must lie in 0..64 at multiples of "
            "32; found 16..48");
  EXPECT_NE(refusal(64, 96), "");
  EXPECT_NE(refusal(-32, 0), "");
  EXPECT_NE(refusal(64, 32), "");
  EXPECT_EQ(refusal(0, 64), "[gguf_dequantize] tensor \"x\": output must hold 64 values; found 32");
}

TEST(GgufDequantizeTest, RefusesATypeThatIsNone) {
  EXPECT_THROW(gguf_dequantize({"x", static_cast<GgufType>(11), {0}, {}}, 0, 0, {}),
               InvalidArgument);
}

TEST(GgufTypeTest, BlocksHaveSizesAndNames) {
  for (const GgufType type : kAllTypes) {
    EXPECT_GT(gguf_block_bytes(type), 0);
    EXPECT_GT(gguf_block_elements(type), 0);
    EXPECT_NE(gguf_type_name(type), "?");
  }
  EXPECT_EQ(gguf_block_bytes(static_cast<GgufType>(11)), 0);
}

}  // namespace
}  // namespace limbeck
